"""The driver for every exchange that ccxt knows: prices, orders, fills and money, read by asking again and again.

    events      a task asks for orders, trades and prices every `poll` seconds, and soon after an order was sent
    orders      sent once, under an id of ours; a lost answer is looked for by that id, and nothing is ever sent again
    money       as the exchange's own lists say it, exactly (`past`, `manners`)

An exchange that ccxt knows and `manners` does not is handled for coins, without a ledger of its own. ccxt itself is called in
`threads` alone.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from decimal import Decimal
from functools import partial
from typing import Any, NoReturn, TypeVar

import anyio
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from attrs import Factory, define

from ...errors import InvalidAmount, InvalidMarket, VenueError, VenueRejected, VenueUnavailable, VenueUnknown
from ...facts import CashFlow, Settled
from ...funding_quotes import FundingQuote, ShareOf
from ...funding_quotes import Kind as QuoteKind
from ...keys import Health, Held, KeyRing, KeySet, NoKey, Nonces, Right, Rights, Sign
from ...market import SECOND, Basis, FundingRate, Instrument, Quote
from ...money import Amount, Asset
from ...orders import Accepted, Canceled, Event, Fill, Order, OrderReport, OrderStatus, Position, Rejected, Transfer
from ..ids import ClientIds
from .faults import Kind as TroubleKind
from .faults import Trouble
from .manners import MANNERS, Cash, Manner, Pages, manner_of
from .names import Names, exact, seen
from .orders import Unsaid, client_id, report_of, request_of, status_of
from .paging import Row, by_offset
from .past import FULL, MILLISECOND, Past
from .slate import Fact
from .threads import Line, make_exchange

__all__ = ["Ccxt"]

log = logging.getLogger("sleeves.venues.ccxt")
log.addHandler(logging.NullHandler())

T = TypeVar("T")

WAITING = 4_096
"""How many events may wait to be read."""
OVERLAP = 60 * SECOND
"""How far before the last known fact trades are asked for: what came late is found, what is known is not told again."""
SURE_AFTER = 2 * SECOND
"""After so long an order that was not found when its trade was told, and is not found again, is none of ours."""
_SHARES = {"dydx": ShareOf.ORACLE}
"""What funding rates are a share of at exchanges that are only looked at here. dYdX v4: of the oracle's price, by its documentation."""
_PAID = 4
"""Payments in a row that must lie equally far apart for that to be the interval, where nobody says it."""
LOOKS = 3
"""How often an order whose answer is lost is looked for before its fate is unknown."""


@define
class _Tracked:
    """An order of ours that may still be open, and what was said of it."""

    symbol: str
    qty: int | None
    at: int
    venue_id: str = ""
    accepted: bool = False
    fills: dict[str, int] = Factory(dict)
    """Quantities of its fills, by their keys."""
    whole: bool = True
    """Whether its fills are known from its beginning on; those of an order of an earlier run are read once."""
    done: bool = False

    @property
    def filled(self) -> int:
        return sum(self.fills.values())


class Ccxt:
    """A venue through ccxt. `exchange` is ccxt's id of it, or an object of its synchronous classes; `markets` are its symbols.

    An `Instrument` among the markets is taken as it stands where it is what the exchange trades. `keys` is a `KeyRing`, or one
    `KeySet`; of a wallet (Hyperliquid) the API key is its address and the secret its private key. Without, the object's own
    credentials are used. `vaults` says by quote coin which Core Vault's key an order takes. `params` go with each order.
    `config` is handed to ccxt where `exchange` is an id. With `sandbox` the exchange's host for tests is used, and no money is
    real. `poll` is in seconds, None: only `polled` asks; `news_every` is how often funding rates are asked for. `assets`
    overrides how coins are counted, `sleeves` are names to read back, `flat_at` an instant (ns) at which no contracts were held.

    Raises `MissingExtra` without ccxt, `VenueRejected` for an exchange that ccxt does not know or that has no host for tests.
    Nothing is asked before it is opened: `async with Ccxt(...) as venue`.
    """

    def __init__(
        self,
        exchange: Any,
        markets: Iterable[str | Instrument],
        *,
        keys: KeyRing | KeySet | None = None,
        name: str | None = None,
        vaults: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
        config: Mapping[str, Any] | None = None,
        manner: Manner | None = None,
        sandbox: bool = False,
        poll: float | None = 2.0,
        misses: int = 3,
        look_after: float = 0.5,
        timeout: float = 10.0,
        news_every: float = 60.0,
        assets: Mapping[str, Asset] | None = None,
        sleeves: Iterable[str] = (),
        flat_at: int = 0,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        known = exchange if isinstance(exchange, str) else str(getattr(exchange, "id", ""))
        self._manner = manner_of(known) if manner is None else manner
        self._line = Line(make_exchange(exchange, self._manner, config=config or {}, sandbox=sandbox, timeout=timeout))
        self.name = self._line.id if name is None else name
        self.real_money = not sandbox
        self._wanted = tuple(markets)
        self._ring, self._key_venue, self._only = _ring_of(keys, self._line.id, clock)
        self._key = keys if isinstance(keys, KeySet) else None
        self._line.numbered = self._manner.nonce and self._ring is not None and self._ring.nonces is not None
        self._vaults = dict(vaults or {})
        self._params = dict(params or {})
        self._poll, self._misses, self._look_after = poll, misses, look_after
        self._news_every = news_every
        self._overrides = dict(assets or {})
        self._ids = ClientIds(sleeves)
        self._flat_at = flat_at
        self._clock = clock
        self._stack: AsyncExitStack | None = None
        self._names: Names | None = None
        self._past: Past | None = None
        self.instruments: dict[str, Instrument] = {}
        """What is traded here, by symbol, once it is opened."""
        self._send: MemoryObjectSendStream[Event | VenueError] | None = None
        self._receive: MemoryObjectReceiveStream[Event | VenueError] | None = None
        self._connected = False
        self._nudge = anyio.Event()
        self._round = anyio.Lock()
        self._sent: set[str] = set()
        self._refused: dict[str, Rejected] = {}
        self._unsaid: set[str] = set()
        """Orders that were refused here, so that nothing of them was sent."""
        self._tracked: dict[str, _Tracked] = {}
        self._by_venue_id: dict[str, str] = {}
        self._gone: dict[str, int] = {}
        """When an order that a trade names was first not found, by the exchange's id."""
        self._told: set[str] = set()
        self._since = 0
        self._quotes: dict[str, tuple[int, int]] = {}
        self._news_at = 0
        self._intervals: dict[str, int] = {}
        self._silent: set[str] = set()
        self._looked = False

    # -- opening -----------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Ccxt:
        await self.aopen()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def aopen(self) -> None:
        """Load the markets and begin. Raises `VenueUnavailable`, and `InvalidMarket` for a market that cannot be traded through it."""
        if self._stack is not None:
            return
        self._line.open()
        self._round, self._nudge = anyio.Lock(), anyio.Event()
        await self._public("load_markets")
        exchange = self._line.exchange
        names = Names(
            exchange.markets,
            exchange.currencies or {},
            mode=exchange.precisionMode,
            manner=self._manner,
            venue=self.name,
            exchange=self._line.id,
            says_currencies=exchange.has.get("fetchCurrencies") is True and bool(exchange.currencies),
            assets=self._overrides,
            given=[one for one in self._wanted if isinstance(one, Instrument)],
        )
        self.instruments = {
            market.symbol: market for market in (names.instrument(one if isinstance(one, str) else one.symbol) for one in self._wanted)
        }
        coins = [str(market) for market in self.instruments.values() if market.contract is None]
        if coins and self._manner.cash is not Cash.TOTAL:
            raise InvalidMarket(f"{', '.join(coins)}: coins of {self._line.id} lie in another wallet than contracts")
        self._names = names
        self._past = Past(
            _Asks(self),
            names,
            self._manner,
            list(self.instruments.values()),
            self._owners,
            venue=self.name,
            flat_at=self._flat_at,
            now=self._clock,
            rates_every=int(self._news_every * SECOND),
        )
        self._since = self._clock()
        self._send, self._receive = anyio.create_memory_object_stream[Event | VenueError](WAITING)
        stack = AsyncExitStack()
        tasks: TaskGroup = await stack.enter_async_context(anyio.create_task_group())
        if self._poll is not None:
            tasks.start_soon(self._keep_polling, self._poll, name=f"sleeves {self.name} poll")
        stack.callback(tasks.cancel_scope.cancel)
        self._stack = stack

    async def aclose(self) -> None:
        """End what runs in the background and close the connections. What was sent stays sent."""
        stack, self._stack = self._stack, None
        if stack is None:
            return
        await stack.aclose()
        for stream in (self._send, self._receive):
            if stream is not None:
                stream.close()
        await self._line.close()

    def instrument(self, symbol: str) -> Instrument:
        """Any market of the exchange that can be traded through this driver. Raises `InvalidMarket`."""
        return self._of_names().instrument(symbol)

    @property
    def waiting(self) -> int:
        """How many events wait to be read."""
        return 0 if self._receive is None else self._receive.statistics().current_buffer_used

    def _open(self) -> None:
        if self._stack is None:
            raise VenueUnavailable(f"{self.name} is not open: `async with Ccxt(...) as venue`, or `await venue.aopen()`")

    def _of_names(self) -> Names:
        self._open()
        assert self._names is not None
        return self._names

    def _of_past(self) -> Past:
        self._open()
        assert self._past is not None
        return self._past

    # -- asking ------------------------------------------------------------------------------------------------------

    async def _public(self, method: str, *args: Any) -> Any:
        answer, trouble = await self._line.call(method, *args)
        if trouble is not None:
            raise VenueUnavailable(f"{self.name}: {method}: {trouble.text}")
        return answer

    async def ask(self, method: str, *args: Any) -> Any:
        """A private question. Raises `VenueUnavailable`, whatever went wrong."""
        self._open()
        answer, trouble = await self._with_key(method, *args, right=Right.READ)
        if trouble is not None:
            raise VenueUnavailable(f"{self.name}: {method}: {trouble.text}")
        return answer

    async def ask_if_told(self, method: str, *args: Any) -> Any:
        """A private question that an exchange may not take, or not from this key: None then, which is logged once.

        What it would have told is found as a difference. Raises `VenueUnavailable` where it was not reached.
        """
        self._open()
        answer, trouble = await self._with_key(method, *args, right=Right.READ, quiet=True)
        if trouble is None:
            return answer
        if trouble.kind is TroubleKind.REFUSED or trouble.sign is Sign.PERMISSION or "NotSupported" in trouble.text:
            if method not in self._silent:
                self._silent.add(method)
                log.warning("%s does not tell %s: %s", self.name, method, trouble.text, extra={"venue": self.name})
            return None
        raise VenueUnavailable(f"{self.name}: {method}: {trouble.text}")

    async def _with_key(
        self,
        method: str,
        *args: Any,
        right: Right,
        exit: bool = False,  # noqa: A002
        vaults: Sequence[str] = (),
        quiet: bool = False,
    ) -> tuple[Any, Trouble | None]:
        """A private call with a key of the first of these vaults that has one. Raises `NoKey`."""
        if self._ring is None:
            return await self._line.call(method, *args)
        lacks: NoKey | None = None
        for vault in vaults or self._all_vaults():
            try:
                async with self._ring.use(vault, self._key_venue, right=right, exit=exit) as held:
                    return await self._held(held, method, *args, quiet=quiet)
            except NoKey as error:
                lacks = error
        assert lacks is not None
        raise lacks

    async def _held(self, held: Held, method: str, *args: Any, quiet: bool = False) -> tuple[Any, Trouble | None]:
        """A call with a key, in the key's turn where its calls bear numbers. It is waited for, whoever cancels meanwhile.

        `quiet`: that this may not be asked says nothing of the key.
        """
        with anyio.CancelScope(shield=True):
            if self._line.numbered:
                async with held.turn():
                    answer, trouble = await self._line.call(method, *args, held=held)
            else:
                answer, trouble = await self._line.call(method, *args, held=held)
            if trouble is not None and trouble.sign is not None and not (quiet and trouble.sign is Sign.PERMISSION):
                held.told(trouble.sign, until=trouble.until, why=trouble.text)
        return answer, trouble

    async def probe(self, name: str, rights: Rights) -> Health:
        """Read with a certain key of the ring, which then fares as the answer says; `rights` are what its holder knows that it has.

        ccxt has no question for a key's rights. Where one `KeySet` was handed in, it is probed with each round of asking that is due.
        Raises `NoKey` where the key may not even read, `VenueRejected` without keys.
        """
        self._open()
        if self._ring is None:
            raise VenueRejected(f"{self.name} was given no keys to probe")
        async with self._ring.probe(name) as held:
            _, trouble = await self._held(held, "fetch_balance")
        return self._ring.probed(name, rights) if trouble is None else self._ring.health(name)

    async def _probe_key(self) -> None:
        """The one key, where it is suspect or was not looked at for a day."""
        if self._key is not None and self._ring is not None and self._key.name in self._ring.due() and self._key.rights is not None:
            await self.probe(self._key.name, self._key.rights)

    def _all_vaults(self) -> list[str]:
        if self._only:
            return [self._only]
        return list(dict.fromkeys(self._vault(market) for market in self.instruments.values())) or [f"core:{self.name}"]

    def _vault(self, market: Instrument) -> str:
        """Whose key an order takes: that of the vault of the coin that it is quoted in."""
        if self._only:
            return self._only
        vault = self._vaults.get(market.quote.code, f"core:main:{market.quote.code}")
        return str(getattr(vault, "owner", vault))

    # -- events ------------------------------------------------------------------------------------------------------

    async def events(self) -> AsyncGenerator[Event]:
        """Prices, news and what became of our orders. Raises `VenueUnavailable` when it was not reached `misses` times in a row."""
        self._open()
        assert self._receive is not None
        self._connected = True
        self._nudge.set()
        while True:
            try:
                said = await self._receive.receive()
            except (anyio.EndOfStream, anyio.ClosedResourceError):
                return
            if isinstance(said, VenueError):
                raise VenueUnavailable(str(said))
            yield said

    async def polled(self) -> None:
        """Ask once for all that is polled; what it found waits in `events`. Raises `VenueUnavailable`."""
        self._open()
        async with self._round:
            await self._probe_key()
            await self._look_at_orders()
            await self._tell_prices()
            await self._tell_news()

    async def _keep_polling(self, every: float) -> None:
        missed = 0
        while True:
            with anyio.move_on_after(every):
                await self._nudge.wait()
            self._nudge = anyio.Event()
            if not self._connected:
                continue
            try:
                await self.polled()
            except (VenueError, InvalidAmount, InvalidMarket) as error:
                missed += 1
                log.warning("%s was not read, %d of %d times: %s", self.name, missed, self._misses, error, extra={"venue": self.name})
                if missed >= self._misses:
                    missed, self._connected = 0, False
                    await self._tell(VenueUnavailable(f"{self.name} was not reached {self._misses} times: {error}"))
            except Exception as error:
                log.exception("%s: what it told was not understood", self.name, extra={"venue": self.name})
                missed, self._connected = 0, False
                await self._tell(VenueUnavailable(f"{self.name} told what was not understood: {type(error).__name__}"))
            else:
                missed = 0

    async def _tell(self, *said: Event | VenueError) -> None:
        assert self._send is not None
        for one in said:
            try:
                self._send.send_nowait(one)
            except anyio.WouldBlock:
                await self._send.send(one)

    async def _tell_prices(self) -> None:
        now = self._clock()
        for symbol, row in (await self._tickers()).items():
            market = self.instruments.get(symbol)
            if market is None or row.get("bid") is None or row.get("ask") is None:
                continue
            try:
                bid, ask = (market.whole_price(str(seen(row[what], what))) for what in ("bid", "ask"))
                quote = Quote(market, now, bid, max(bid, ask)) if bid <= ask else None
            except (InvalidAmount, InvalidMarket) as error:
                log.warning("%s told a price that is none: %s", self.name, error, extra={"venue": self.name})
                continue
            if quote is not None:
                self._quotes[symbol] = quote.bid, quote.ask
                await self._tell(quote)

    async def _tickers(self) -> dict[str, Row]:
        symbols = list(self.instruments)
        if not symbols:
            return {}
        if self._manner.by_book:
            found: dict[str, Row] = {}
            for symbol in symbols:
                book = await self._public("fetch_order_book", symbol)
                bids, asks = book.get("bids"), book.get("asks")
                if bids and asks:
                    found[symbol] = {"bid": bids[0][0], "ask": asks[0][0]}
            return found
        if self._line.has("fetchBidsAsks") and self._line.exchange.has.get("fetchBidsAsks") != "emulated":
            return dict(await self._public("fetch_bids_asks", symbols))
        if self._line.has("fetchTickers"):
            return dict(await self._public("fetch_tickers", symbols))
        return {symbol: await self._public("fetch_ticker", symbol) for symbol in symbols}

    # -- orders and fills -------------------------------------------------------------------------------------------------

    async def _look_at_orders(self) -> None:
        """What became of our orders, and all that was traded: facts first, and an end only when all its fills are told."""
        if not self._looked:
            await self.open_orders()  # orders of an earlier run are watched too
            self._looked = True
        ended = await self._ended()
        found = [one for one in self._tracked.values() if not one.whole]
        since = self._since - OVERLAP
        facts = await self._of_past().facts(min([since, *(one.at - OVERLAP for one in found)]), whole=False)
        for fact in facts:
            if isinstance(fact, Fill) and (tracked := self._tracked.get(fact.order_id)) is not None:
                tracked.fills[fact.key] = fact.qty
            if fact.key not in self._told and fact.at >= since:
                self._told.add(fact.key)
                await self._tell(fact)
        for one in found:
            one.whole = True
        self._since = max([self._since, *(fact.at for fact in facts)])
        for order_id, report in ended.items():
            await self._end(order_id, report)

    async def _ended(self) -> dict[str, OrderReport]:
        """Orders of ours that are no longer open, and what became of them."""
        watched = {order_id: one for order_id, one in self._tracked.items() if not one.done}
        if not watched:
            return {}
        there = {report.order_id for report in await self.open_orders()}
        found: dict[str, OrderReport] = {}
        for order_id, tracked in watched.items():
            if order_id not in there:
                report = await self._report(order_id, tracked.symbol, tracked.at, tracked.qty)
                if report is not None and report.status.done:
                    found[order_id] = report
        return found

    async def _end(self, order_id: str, report: OrderReport) -> None:
        tracked = self._tracked[order_id]
        if tracked.filled < report.filled:
            return  # the exchange tells of its end before it tells all its trades
        tracked.done = True
        if report.status is OrderStatus.CANCELED:
            await self._tell(Canceled(order_id, report.at, report.reason))
        elif report.status is OrderStatus.REJECTED:
            await self._reject(order_id, report.reason or "rejected", report.at)

    async def _owners(self, rows: Sequence[Row]) -> Mapping[str, str]:
        """Whose orders trades are of: our own ids, or the exchange's for orders that are none of ours, by the exchange's.

        Raises `VenueUnavailable` while that is not sure of all of them.
        """
        found: dict[str, str] = {}
        unsure: dict[str, None] = {}
        for row in rows:
            venue_id = str(row.get("order"))
            if venue_id in unsure:
                continue
            if venue_id not in self._by_venue_id:
                told = (row.get("info") or {}).get(self._manner.own_id) if self._manner.own_id else None
                own = self._ids.order_id(told)
                if own is None and not told:
                    own = await self._asked_owner(venue_id, row)
                    if own is None:
                        unsure[venue_id] = None
                        continue
                self._by_venue_id[venue_id] = own or venue_id
            found[venue_id] = self._by_venue_id[venue_id]
        if unsure:
            raise VenueUnavailable(f"{self.name} does not find {', '.join([*unsure][:5])} yet: whose orders that were traded they are")
        return found

    async def _asked_owner(self, venue_id: str, row: Row) -> str | None:
        """Our own id of an order that a trade names, or the exchange's for one of somebody else's; None while nobody knows.

        That it is not found once is no evidence: a list of orders may lag behind one of trades.
        """
        if not self._line.has("fetchOrder"):
            raise VenueUnavailable(f"{self.name} does not tell whose order {venue_id} is")
        first, now = self._gone.get(venue_id), self._clock()
        if first is not None and now - first < SURE_AFTER:
            return None
        answer, trouble = await self._with_key("fetch_order", venue_id, row.get("symbol"), right=Right.READ)
        if trouble is None:
            return self._ids.order_id(answer.get("clientOrderId")) or venue_id
        if trouble.kind is not TroubleKind.GONE:
            raise VenueUnavailable(f"{self.name}: whose order {venue_id} is: {trouble.text}")
        if self._manner.own_id:
            return venue_id  # its trades name our own id where the order bears one
        self._gone.setdefault(venue_id, now)
        return None if first is None or self._may_be_ours(row) else venue_id

    def _may_be_ours(self, row: Row) -> bool:
        """Whether a trade may be of an order of ours whose answer was lost, so that its id there is not known."""
        at = row.get("timestamp")
        return any(
            not one.done
            and not one.venue_id
            and one.symbol == row.get("symbol")
            and (type(at) is not int or at * MILLISECOND >= one.at - OVERLAP)
            for one in self._tracked.values()
        )

    # -- sending -------------------------------------------------------------------------------------------------------

    async def submit(self, order: Order) -> None:
        """Send an order, once. Raises `VenueUnavailable` where nothing was done, `VenueUnknown` where it may have been."""
        self._open()
        if order.id in self._sent:
            return
        self._sent.add(order.id)
        try:
            request = self._request(order)
        except (Unsaid, InvalidAmount, InvalidMarket, VenueRejected) as error:
            self._unsaid.add(order.id)
            await self._reject(order.id, str(error), self._clock())
            return
        market, exits = order.place.instrument, order.place.exits
        try:
            answer, trouble = await self._with_key(
                "create_order", *request.arguments, right=Right.TRADE, exit=exits, vaults=[self._vault(market)]
            )
        except NoKey:
            self._sent.discard(order.id)
            raise
        if trouble is None and not _tells_of_an_order(answer):
            trouble = Trouble(TroubleKind.UNKNOWN, "what was answered tells of no order")
        if trouble is None:
            await self._accepted(order, answer)
        elif trouble.kind is TroubleKind.REFUSED:
            await self._reject(order.id, trouble.text, self._clock())
        elif trouble.kind is TroubleKind.NOT_DONE:
            raise VenueUnavailable(f"{self.name}: {order.id} was not taken: {trouble.text}")
        else:
            await self._look_for(order, trouble)
        self._nudge.set()

    def _request(self, order: Order) -> Any:
        place, names = order.place, self._of_names()
        market = self.instruments.get(place.instrument.symbol)
        if market is None or market != place.instrument:
            raise Unsaid(f"unknown instrument {place.instrument.symbol}")
        return request_of(
            order,
            market,
            names,
            self._manner,
            client_id(self._ids, self._manner, order.id),
            can=lambda what: self.feature("createOrder", what, market.symbol),
            rounded=self._rounded,
            last=self._quotes.get(market.symbol),
            params=self._params,
        )

    def _rounded(self, what: str, symbol: str, text: str) -> str:
        """What ccxt would make of an amount or a price on its way."""
        exchange = self._line.exchange
        try:
            return str((exchange.price_to_precision if what == "price" else exchange.amount_to_precision)(symbol, text))
        except Exception as error:  # ccxt refuses what comes to nothing
            raise Unsaid(f"{what} {text} of {symbol}: {type(error).__name__}") from None

    def feature(self, method: str, what: str, symbol: str | None = None) -> Any:
        """What ccxt says of a method for a market; None where it says nothing."""
        if method == "account":
            return str(getattr(self._line.exchange, "walletAddress", "") or "").lower()
        if symbol is None:
            symbol = next(iter(self.instruments), None)
        try:
            market = self._line.exchange.markets[symbol] if symbol is not None else {}
            kind, sub = ("swap", "linear") if market.get("contract") else ("spot", None)
            return self._line.exchange.feature_value_by_type(kind, sub, method, what)
        except Exception:  # ccxt raises for what it has no table of
            return None

    async def _accepted(self, order: Order, row: Mapping[str, Any]) -> None:
        """The exchange has the order: it is watched from here on, and what its trades say is told as its fills."""
        if status_of(row) is OrderStatus.REJECTED:
            info = row.get("info")
            await self._reject(order.id, str(info)[:300] if info else "rejected", self._clock())
            return
        tracked = self._track(order)
        venue_id = row.get("id")
        if venue_id is not None:
            tracked.venue_id = str(venue_id)
            self._by_venue_id[str(venue_id)] = order.id
        if not tracked.accepted:
            tracked.accepted = True
            at = row.get("timestamp")
            when = at * MILLISECOND if type(at) is int else order.at
            await self._tell(Accepted(order.id, max(when, order.at), tracked.venue_id))

    def _known(self, order_id: str, venue_id: object) -> None:
        """The exchange's id of an order of ours: its trades name it."""
        if venue_id is not None:
            self._by_venue_id[str(venue_id)] = order_id
            if (tracked := self._tracked.get(order_id)) is not None and not tracked.venue_id:
                tracked.venue_id = str(venue_id)

    def _track(self, order: Order) -> _Tracked:
        return self._tracked.setdefault(order.id, _Tracked(order.place.instrument.symbol, order.place.qty, order.at))

    async def _reject(self, order_id: str, reason: str, at: int) -> None:
        if order_id not in self._refused:
            self._refused[order_id] = Rejected(order_id, at, reason or "refused")
            await self._tell(self._refused[order_id])

    async def _look_for(self, order: Order, trouble: Trouble) -> None:
        """The answer is lost: the order is looked for by our own id, and never sent again."""
        self._track(order)
        for turn in range(LOOKS):
            if turn:
                await anyio.sleep(self._look_after)
            try:
                row = await self._find(order.id, order.place.instrument.symbol, order.at)
            except VenueUnavailable:
                continue
            if row is not None:
                await self._accepted(order, row)
                return
        raise VenueUnknown(f"{self.name}: no answer to {order.id}, and it is not found: {trouble.text}")

    async def cancel(self, order: Order) -> None:
        """Ask for a cancel; an order that is over is passed over. Raises like `submit`.

        One that was sent from here and is not found is not known to be over: it may be on its way still. That is `VenueUnknown`.
        """
        self._open()
        tracked = self._tracked.get(order.id)
        if (tracked is not None and tracked.done) or order.id in self._unsaid:
            return
        venue_id = tracked.venue_id if tracked is not None else ""
        args: tuple[Any, ...]
        if venue_id:
            args = (venue_id, order.place.instrument.symbol)
        else:
            row = await self._find(order.id, order.place.instrument.symbol, order.at)
            if row is None and (order.id in self._refused or order.id not in self._sent):
                return
            if row is None or row.get("id") is None:
                raise VenueUnknown(f"{self.name}: {order.id} is not found, so that it could not be canceled: it may be on its way still")
            status = status_of(row)
            if status is not None and status.done:
                return
            args = (str(row["id"]), order.place.instrument.symbol)
        vault = self._vault(order.place.instrument)
        _, trouble = await self._with_key("cancel_order", *args, right=Right.TRADE, exit=True, vaults=[vault])
        self._nudge.set()
        if trouble is None or trouble.kind is TroubleKind.GONE:
            return
        if trouble.kind in (TroubleKind.NOT_DONE, TroubleKind.REFUSED):
            raise VenueUnavailable(f"{self.name}: the cancel of {order.id} was not taken: {trouble.text}")
        raise VenueUnknown(f"{self.name}: no answer to the cancel of {order.id}: {trouble.text}")

    async def settle(self, instrument: Instrument) -> None:
        """These exchanges settle by themselves, with every trade: `Settled` of 0 answers.

        Raises `VenueRejected` for what is not traded here; of coins there is nothing to settle.
        """
        market = self.instruments.get(instrument.symbol)
        self._open()
        if market is None or market != instrument:
            raise VenueRejected(f"{instrument.symbol} is not traded at {self.name}")
        if market.contract is None:
            return
        past, now = self._of_past(), self._clock()
        said = Settled(now, market, 0, f"asked {now} {len(past.asked)}", self.name)
        past.asked.append(said)
        self._told.add(said.key)
        await self._tell(said)

    async def transfer(self, transfer: Transfer) -> None:
        """Raises `VenueRejected`: coins are moved at the exchange itself, and found in its ledger."""
        raise VenueRejected(f"{transfer.id}: coins are not moved through ccxt: move them at {self.name} itself")

    # -- looking -------------------------------------------------------------------------------------------------------

    async def _find(self, order_id: str, symbol: str, at: int) -> Mapping[str, Any] | None:
        """An order as ccxt tells it, by the exchange's id of it or by our own; None where it is not found. Raises `VenueUnavailable`."""
        tracked = self._tracked.get(order_id)
        own = client_id(self._ids, self._manner, order_id)
        asked: tuple[Any, ...] | None = None
        if tracked is not None and tracked.venue_id and self._line.has("fetchOrder"):
            asked = (tracked.venue_id, symbol)
        elif self._manner.by_client_id:
            asked = (own, symbol, {"clientOrderId": own})
        if asked is not None:
            answer, trouble = await self._with_key("fetch_order", *asked, right=Right.READ)
            if trouble is None:
                return dict(answer)
            if trouble.kind is not TroubleKind.GONE:
                raise VenueUnavailable(f"{self.name}: {order_id}: {trouble.text}")
            if self._manner.by_client_id:
                return None
        return await self._search(order_id, symbol, at, own)

    async def _search(self, order_id: str, symbol: str, at: int, own: str) -> Mapping[str, Any] | None:
        """An order in the exchange's lists: open ones first; of several rows of one that is not, the one that tells most of it."""
        since = max(1, at // MILLISECOND - 60_000)
        within = symbol if self._manner.per_market is not False else None
        found: list[Row] = []
        for has in self._manner.searches:
            if not self._line.has(has):
                continue
            method = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in has)
            if self._manner.trades is Pages.OFFSET and has != "fetchOpenOrders":
                rows: Sequence[Row] = await by_offset(partial(self._page, method, since, own), FULL[Pages.OFFSET])
            else:
                rows = await self.ask(method, within, None if has == "fetchOpenOrders" else since)
            found += [row for row in rows if self._ids.order_id(row.get("clientOrderId")) == order_id]
            if found and has == "fetchOpenOrders":
                break
        return max(found, key=lambda row: _tells(row)) if found else None

    async def _page(self, method: str, since: int, own: str, offset: int) -> Sequence[Row]:
        return list(await self.ask(method, None, since, None, {"ofs": offset, "clientOrderId": own}))

    async def _report(self, order_id: str, symbol: str, at: int, qty: int | None) -> OrderReport | None:
        row = await self._find(order_id, symbol, at)
        if row is None:
            return None
        self._known(order_id, row.get("id"))
        names = self._of_names()
        try:
            return report_of(row, order_id, names.instrument(symbol), names, at=self._clock(), qty=qty)
        except InvalidAmount as error:
            raise VenueUnavailable(f"{self.name}: {error}") from None

    async def look_up(self, order: Order) -> OrderReport | None:
        """What became of an order, found by its own id. Raises `VenueUnavailable`.

        One that was said to be refused is looked for all the same: what is there counts, whatever was answered.
        """
        self._open()
        refused, market, report = self._refused.get(order.id), order.place.instrument, None
        if market.symbol in self.instruments and order.id not in self._unsaid:
            try:
                report = await self._report(order.id, market.symbol, order.at, order.place.qty)
            except VenueRejected:
                report = None
        if report is None and refused is not None:
            return OrderReport(order.id, refused.at, OrderStatus.REJECTED, 0, refused.reason)
        return report

    async def open_orders(self) -> Sequence[OrderReport]:
        """Every order that is open, ours by their own ids. Raises `VenueUnavailable`."""
        names, found = self._of_names(), []
        for symbol in list(self.instruments) if self._manner.per_market is not False else [None]:
            for row in await self.ask("fetch_open_orders", symbol):
                venue_id = str(row.get("id"))
                own = self._ids.order_id(row.get("clientOrderId")) or self._by_venue_id.get(venue_id, venue_id)
                if own != venue_id:
                    self._known(own, venue_id)
                else:
                    self._by_venue_id[venue_id] = own
                try:
                    market = names.instrument(str(row.get("symbol"))) if row.get("symbol") in names else None
                except InvalidMarket:
                    market = None
                try:
                    report = report_of({**row, "status": "open"}, own, market, names, at=self._clock(), qty=None)
                except InvalidAmount as error:
                    raise VenueUnavailable(f"{self.name}: order {own}: {error}") from None
                if report is not None and report.status is OrderStatus.OPEN:
                    found.append(report)
                    if own != venue_id and own not in self._tracked and market is not None:
                        opened = row.get("timestamp")
                        since = opened * MILLISECOND if type(opened) is int else self._flat_at
                        self._tracked[own] = _Tracked(market.symbol, None, since, venue_id, accepted=True, whole=False)
        return found

    # -- money ---------------------------------------------------------------------------------------------------------

    async def balances(self) -> Mapping[str, Amount]:
        """All coins of the account, held ones included. Raises `VenueUnavailable`."""
        names = self._of_names()
        if self._manner.cash is Cash.RAW:
            return (await self._raw())[0]
        answer = await self.ask("fetch_balance")
        try:
            return _coins(answer, names, self._manner)
        except InvalidAmount as error:
            raise VenueUnavailable(f"{self.name}: {error}") from None

    async def positions(self) -> Mapping[str, Position]:
        """The account's contracts by symbol. Raises `VenueUnavailable`, where what it holds is not what its trades make too."""
        self._open()
        if not any(market.contract is not None for market in self.instruments.values()):
            return {}
        if self._manner.cash is Cash.RAW:
            return (await self._raw())[1]
        past, said = self._of_past(), ""
        for _ in range(LOOKS):
            held = self._held_contracts(await self.ask("fetch_positions"))
            await self._understood(past.catch_up())
            made = past.positions()
            said = _differ(held, made)
            if not said:
                return made
        raise VenueUnavailable(f"{self.name}: {said}")

    async def _raw(self) -> tuple[dict[str, Amount], dict[str, Position]]:
        """Coins and contracts of a wallet that counts both as one: what contracts' trades make of it is the contracts' part."""
        names, past, said = self._of_names(), self._of_past(), ""
        quote = next(market.quote for market in self.instruments.values())
        for _ in range(LOOKS):
            state = await self.ask("fetch_balance", {"type": "swap"})
            info = state.get("info") or {}
            raw = (info.get("marginSummary") or {}).get("totalRawUsd")
            if raw is None:
                raise VenueUnavailable(f"{self.name}: its account is of a kind that does not keep contracts' coins apart")
            held = self._held_contracts([self._line.exchange.parse_position(one) for one in info.get("assetPositions") or ()])
            await self._understood(past.catch_up())
            made = past.positions()
            said = _differ(held, made)
            if said:
                continue
            try:
                total = names.amount(quote.code, raw, "totalRawUsd")
            except InvalidAmount as error:
                raise VenueUnavailable(f"{self.name}: {error}") from None
            return {quote.code: total - Amount(sum(one.money for one in made.values()), quote)}, made
        raise VenueUnavailable(f"{self.name}: {said}")

    async def _understood(self, told: Awaitable[T]) -> T:
        """What the exchange told, or `VenueUnavailable`: what does not read as it should is no part of a past."""
        try:
            return await told
        except (InvalidAmount, InvalidMarket, LookupError, TypeError, ValueError, AttributeError) as error:
            raise VenueUnavailable(f"{self.name} told what was not understood: {type(error).__name__}: {error}") from None

    def _held_contracts(self, rows: Iterable[Mapping[str, Any]]) -> dict[str, int]:
        names, held = self._of_names(), dict[str, int]()
        for row in rows:
            symbol = str(row.get("symbol"))
            try:
                market = names.instrument(symbol)
                qty = abs(names.qty(market, row.get("contracts"), f"position in {symbol}"))
            except InvalidMarket:
                continue
            except InvalidAmount as error:
                raise VenueUnavailable(f"{self.name}: {error}") from None
            if row.get("hedged") is True:
                raise VenueUnavailable(f"{self.name}: {symbol} is held in hedge mode: one position for each market is needed")
            if qty:
                held[symbol] = held.get(symbol, 0) + (-qty if row.get("side") == "short" else qty)
        return held

    async def history(self, since: int) -> Sequence[Fact]:
        """All that happened to the account from an instant on, oldest first. Raises `VenueUnavailable`."""
        return await self._understood(self._of_past().facts(since))

    async def cash_flows(self, since: int) -> Sequence[CashFlow]:
        """The exchange's own lines of the account's coins; where it has none, what trades and transfers have moved."""
        return await self._understood(self._of_past().flows(since))

    # -- news ----------------------------------------------------------------------------------------------------------

    async def _tell_news(self) -> None:
        """Funding rates of the contracts here, each with its interval; one without is told by nobody."""
        contracts = [market for market in self.instruments.values() if market.contract is not None]
        now = self._clock()
        if not contracts or (self._news_at and now - self._news_at < int(self._news_every * SECOND)):
            return
        rows = await self._rates([market.symbol for market in contracts])
        self._news_at = now
        for market in contracts:
            row = rows.get(market.symbol)
            if row is None or row.get("fundingRate") is None:
                continue
            every = self._interval(market.symbol, row)
            if every is None:
                if market.symbol not in self._silent:
                    self._silent.add(market.symbol)
                    log.warning("%s does not say for how long %s is funded: its rate is not told", self.name, market)
                continue
            await self._tell_rate(market, row, every, now)

    async def _tell_rate(self, market: Instrument, row: Row, every: int, now: int) -> None:
        try:
            price = row.get("indexPrice") if self._manner.basis.value != "mark" else row.get("markPrice")
            price = price if price is not None else row.get("markPrice")
            rate = int((exact(row["fundingRate"], "funding rate") * 10**9).to_integral_value())
            units = market.whole_price(str(exact(price, "price of the funding rate")))
            await self._tell(FundingRate(market, now, rate, units, every, self._manner.basis))
        except (InvalidAmount, InvalidMarket) as error:
            log.warning("%s told a funding rate of %s that is none: %s", self.name, market, error)

    async def _rates(self, symbols: Sequence[str]) -> dict[str, Row]:
        has = self._line.exchange.has
        if has.get("fetchFundingIntervals") is True and not self._intervals:
            for symbol, row in dict(await self._public("fetch_funding_intervals", symbols)).items():
                if (every := _span(row.get("interval"))) is not None:
                    self._intervals[symbol] = every
        if has.get("fetchFundingRates") is True:
            return dict(await self._public("fetch_funding_rates", symbols))
        if has.get("fetchFundingRate"):
            return {symbol: await self._public("fetch_funding_rate", symbol) for symbol in symbols}
        return {}

    def _interval(self, symbol: str, row: Row) -> int | None:
        """The time between two payments, in ns: as the exchange says it for this contract; None where nobody does."""
        said = _span(row.get("interval")) or self._intervals.get(symbol) or self._manner.funding_every
        if said is None:
            first, then = row.get("fundingTimestamp"), row.get("nextFundingTimestamp")
            if type(first) is int and type(then) is int and then > first:
                return (then - first) * MILLISECOND
        return said

    async def funding_quotes(self, symbols: Iterable[str] | None = None, *, basis: ShareOf | str | None = None) -> tuple[FundingQuote, ...]:
        """Funding rates of contracts, each with its interval, to be ranked beside those of other venues.

        Of these symbols of ccxt's, whether or not they are traded through this driver; by default of its own contracts. `basis` is
        what the rates are a share of, where the exchange is not known here. An exchange that tells no present rate but those that
        were paid (dYdX v4) is asked for the latest of these.

        Raises `InvalidMarket` for a symbol that is no perpetual contract, and, by its name, for one whose interval, basis or rate
        nobody tells: none of them is guessed. `VenueUnavailable` where the exchange does not answer.
        """
        self._open()
        markets = self._line.exchange.markets or {}
        asked = [one.symbol for one in self.instruments.values() if one.contract is not None] if symbols is None else list(symbols)
        for symbol in asked:
            if not (markets.get(symbol) or {}).get("swap"):
                raise InvalidMarket(f"{symbol!r} is no perpetual contract at {self.name}")
        if not asked:
            return ()
        share = self._share_of(basis)
        rows = await self._rates(asked)
        return tuple([await self._quote(symbol, rows.get(symbol), share) for symbol in asked])

    def _share_of(self, basis: ShareOf | str | None) -> ShareOf:
        """What the exchange's rates are a share of: as was said, else as is known of it."""
        if basis is not None:
            return ShareOf(basis) if basis in list(ShareOf) else _no_share(basis)
        known = {Basis.MARK: ShareOf.MARK, Basis.ORACLE: ShareOf.ORACLE, Basis.INDEX: ShareOf.INDEX}
        if self._line.id in MANNERS:
            return known[self._manner.basis]
        if self._line.id in _SHARES:
            return _SHARES[self._line.id]
        raise InvalidMarket(f"what funding rates of {self._line.id} are a share of is not known here: say it with basis=")

    async def _quote(self, symbol: str, row: Row | None, share: ShareOf) -> FundingQuote:
        now = self._clock()
        if row is None and self._line.exchange.has.get("fetchFundingRateHistory") is True:
            return await self._last_paid(symbol, share)
        if row is None or row.get("fundingRate") is None:
            raise InvalidMarket(f"{self.name} tells no funding rate of {symbol}")
        every = self._interval(symbol, row)
        if every is None:
            raise InvalidMarket(f"{self.name} does not say for how long {symbol} is funded: its rate is no quote")
        due = [one * MILLISECOND for name in ("fundingTimestamp", "nextFundingTimestamp") if type(one := row.get(name)) is int]
        rate = self._exact_rate(symbol, row["fundingRate"])
        return FundingQuote(self.name, symbol, rate, every, share, min((at for at in due if at > now), default=None), QuoteKind.LIVE)

    async def _last_paid(self, symbol: str, share: ShareOf) -> FundingQuote:
        """The latest rate that was paid. Its interval is what the exchange says, or the one distance between those paid before it."""
        rows = [row for row in await self._public("fetch_funding_rate_history", symbol) if type(row.get("timestamp")) is int]
        paid = sorted(rows, key=lambda row: row["timestamp"])[-_PAID:]
        if not paid or paid[-1].get("fundingRate") is None:
            raise InvalidMarket(f"{self.name} tells no funding rate of {symbol}")
        minutes = [round(row["timestamp"] / 60_000) for row in paid]  # some are stamped with the block's milliseconds
        apart = {then - first for first, then in itertools.pairwise(minutes)}
        every = _span(paid[-1].get("interval")) or self._manner.funding_every
        if every is None and len(paid) == _PAID and len(apart) == 1:
            every = apart.pop() * 60 * SECOND
        if not every:
            raise InvalidMarket(f"{self.name} does not say for how long {symbol} is funded: its rate is no quote")
        due = minutes[-1] * 60 * SECOND + every
        rate = self._exact_rate(symbol, paid[-1]["fundingRate"])
        return FundingQuote(self.name, symbol, rate, every, share, due if due > self._clock() else None, QuoteKind.SETTLED)

    def _exact_rate(self, symbol: str, told: object) -> Decimal:
        try:
            return exact(told, f"funding rate of {symbol}")
        except InvalidAmount as error:
            raise VenueUnavailable(f"{self.name}: {error}") from None


class _Asks:
    """How `Past` asks."""

    def __init__(self, driver: Ccxt) -> None:
        self._driver = driver

    def has(self, what: str) -> bool:
        return self._driver._line.has(what)

    def feature(self, method: str, name: str) -> Any:
        return self._driver.feature(method, name)

    async def ask(self, method: str, *args: Any) -> Any:
        return await self._driver.ask(method, *args)

    async def ask_if_told(self, method: str, *args: Any) -> Any:
        return await self._driver.ask_if_told(method, *args)


def _no_share(basis: object) -> NoReturn:
    raise InvalidMarket(f"a funding rate is a share of one of {', '.join(ShareOf)}, not of {basis!r}")


def _ring_of(keys: KeyRing | KeySet | None, exchange: str, clock: Callable[[], int]) -> tuple[KeyRing | None, str, str]:
    """The ring, the name under which its keys are for this exchange, and the one vault where there is one key."""
    if keys is None:
        return None, exchange, ""
    if isinstance(keys, KeySet):
        return KeyRing([keys], clock=clock, nonces=Nonces(clock)), keys.venue, keys.vault or f"core:{exchange}"
    if not isinstance(keys, KeyRing):
        raise VenueRejected(f"keys are a KeyRing, a KeySet or None, not {type(keys).__name__}")
    return keys, exchange, ""


def _coins(answer: Mapping[str, Any], names: Names, manner: Manner) -> dict[str, Amount]:
    """The coins of an account, wallets that belong to a coin added to it. Raises `InvalidAmount`."""
    found: dict[str, Amount] = {}
    if manner.cash is Cash.WALLET:
        rows = (answer.get("info") or {}).get("assets") or ()
        said = {str(row.get("asset")): row.get("walletBalance") for row in rows}
    else:
        said = dict(answer.get("total") or {})
    for code, value in said.items():
        coin = names.wallet(code)
        if coin is None or value is None or not exact(value, f"balance of {code}"):
            continue
        amount = names.amount(coin, value, f"balance of {code}")
        found[amount.asset.code] = found[amount.asset.code] + amount if amount.asset.code in found else amount
    return found


def _differ(held: Mapping[str, int], made: Mapping[str, Position]) -> str:
    """Where what is held is not what the trades make, in words."""
    for symbol in sorted(held.keys() | made.keys()):
        there, ours = held.get(symbol, 0), made[symbol].qty if symbol in made else 0
        if there != ours:
            hint = "the past is not whole: flat_at= names an instant at which none were held"
            return f"{symbol}: {there} base units are held, and the trades make {ours}; {hint}"
    return ""


def _tells_of_an_order(answer: object) -> bool:
    """Whether an answer to an order tells of one: ccxt reads a page of HTML as an order of nothing."""
    return isinstance(answer, Mapping) and (answer.get("id") is not None or status_of(answer) is OrderStatus.REJECTED)


def _tells(row: Row) -> tuple[Decimal, bool, int]:
    """How much a row says of an order's end: the most that was filled, then that it was canceled, then the latest."""
    try:
        filled = exact(row.get("filled"), "filled quantity")
    except InvalidAmount:
        filled = Decimal(0)
    at = row.get("lastUpdateTimestamp")
    return filled, row.get("status") in ("canceled", "expired", "rejected"), at if type(at) is int else 0


def _span(text: object) -> int | None:
    """ "8h" or "30m" in ns; None for anything else."""
    if not isinstance(text, str) or len(text) < 2 or not text[:-1].isdigit():
        return None
    unit = {"m": 60 * SECOND, "h": 3_600 * SECOND, "d": 86_400 * SECOND}.get(text[-1])
    return None if unit is None or not int(text[:-1]) else int(text[:-1]) * unit
