"""Spot trading on Solana through Jupiter, as a venue: prices are quotes at a size, an order is one swap, the chain is the truth.

    feed      quotes both ways for each market, one after the other; the slot that each is of is kept (`slots`)
    order     quote, build, look, run, sign, send: a bundle first where a tip is worth it, then the node; and follow it to its end
    past      every transaction of the wallet, read as fills and as lines of a ledger

Nothing rests here: an order at market, or a limit that is immediate or fill-or-kill, is traded at once or canceled. All orders of
a wallet go one after the other. What a transaction is known by is its signature; one that may still land is followed to the end,
and no other is signed for the same order. An order whose fate is open when `submit` gives up waiting is told when it is decided.

It knows no vault and no strategy. The key signs what the guard has cleared and nothing else.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any

import anyio
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from attrs import define, evolve, field

from ...errors import InvalidMarket, VenueError, VenueRejected, VenueUnavailable, VenueUnknown
from ...facts import CashFlow
from ...market import Instrument, Quote
from ...money import Amount, AmountLike, Fraction, Rounding, divide, ppm
from ...news import Reading
from ...orders import Canceled, Event, Fill, Order, OrderReport, OrderStatus, Position, Rejected, Side, TimeInForce, Transfer
from ..ids import ClientIds
from ..jito import LEAST_TIP, Jito, bundles_first, tip_for
from ..solana import (
    JUPITER,
    MEMO,
    MEMO_V1,
    Blockhash,
    Expired,
    Guard,
    Landed,
    Mint,
    Refused,
    Rpc,
    Sender,
    Signed,
    Signer,
    Spending,
    Unknown,
    ata,
)
from ..solana.send import GOOD_FOR, UNSEEN, AlreadyLanded, Broadcast, Outcome
from ..solana.transaction import called, table_keys
from ..solana.written import address, signature
from .client import HOST, Build, JupiterApi, JupiterRefused, Ready
from .markets import TOKENS, Market, Token
from .past import Moves, Told, fills_of, flows_of, in_ms, market_of, memo_of, moves_of, read_memo, told_by
from .routes import MOST_UNITS, Beyond, Offer, Terms, Wallet, find_offer, fitting_price, promise_of, unit_price_of, write

__all__ = ["Jupiter"]

SLIPPAGE = 6001
"""Jupiter's own number for a swap that would bring less than its threshold."""
NEEDED = 2 * 2_039_280 + 890_880
"""Lamports that must be there besides: the rent of two token accounts, and what keeps a wallet alive."""
_MOST_WAITING = 1_024
_NO_BLOCKHASH = "BlockhashNotFound"
"""What a node says of a transaction that it takes for expired, or for too new: it was not sent on."""
_LONG = 600_000_000_000
"""How far the chain must have come past an order's time before it is asked whether the order can still land, in ns."""
_FAR_BACK = 21_600_000_000_000
"""From how long before an order its transaction is searched for when its absence is to mean something, in ns."""
_LOOK_BACK = 600_000_000_000
"""How far the chain's own time may lag, in ns: what it says happened so much before an instant is looked at too."""

log = logging.getLogger("sleeves.venues.jupiter")


@define(eq=False)
class _Working:
    """One order of this process, and what became of it."""

    order: Order
    decided: anyio.Event = field(factory=anyio.Event)
    signature: str = ""
    report: OrderReport | None = None
    error: VenueError | None = None


@define(eq=False)
class _Kept:
    """A transaction that was read: it changes no more."""

    moves: Moves
    fills: tuple[Fill, ...]


class Jupiter:
    """A wallet that trades through Jupiter. `async with` it, or `aopen` and `aclose` in one task.

    `markets` are what is quoted and traded. `rpc` is a node, `api` Jupiter's interface, `jito` a block engine for bundles; they
    are closed with it. `route` is "build", a transaction that is put together here, or "execute", one that Jupiter makes and
    sends: then nothing on the chain says whose order it was, and after a restart its fills are nobody's. A transaction of ours
    fails where it brings less than it must, whatever the router does. One of Jupiter's is signed only where its one swap is a call of
    Jupiter's own program that names what goes in and a least that keeps to the order's limit, its worst price and the slippage; that
    this program keeps its word is trusted there.

    `costs`: with "fills" what a transaction cost in SOL (signature, priority, tip, rent) is the fee of its fill, so a sleeve needs
    SOL of its own; with "wallet" fills have no fee, and costs are lines of the wallet's ledger that belong to no fill: a residual
    of the core vault, to be allowed for by a tolerance in SOL.

    `slippage_bps` is how much worse than its quote a swap may come out, within an order's own bound. `aside` is SOL that the books
    do not count: rent and fees need some to be there. `most_fee` caps what a transaction pays for signature and priority,
    `most_tip` and `tip_share` the tip: min(most_tip, max(1,000 lamports, tip_share of the profit that the order expects)), and
    never more than that profit.

    `most_slots_apart`: an order on a market of named DEXes, other than one that only reduces, is rejected where the quotes of that
    pair's DEXes are of slots further apart. `quote_every` seconds lie between two rounds of quotes; None: only `refresh` asks.
    `confirm_within` is how many seconds `submit` waits for the end. `sleeves` are names of more than 15 characters.

    Raises `InvalidMarket` for markets and terms that cannot be.
    """

    def __init__(
        self,
        signer: Signer,
        markets: Iterable[Market],
        *,
        rpc: Rpc,
        api: JupiterApi | None = None,
        jito: Jito | None = None,
        route: str = "build",
        costs: str = "fills",
        name: str = "jupiter",
        slippage_bps: int = 50,
        aside: AmountLike = "0.02",
        most_fee: AmountLike = "0.001",
        most_tip: AmountLike = "0.001",
        tip_share: Fraction = "10%",
        most_slots_apart: int | None = None,
        quote_every: float | None = 2.0,
        confirm_within: float = 45.0,
        poll_s: float = 0.5,
        resend_s: float = 2.0,
        programs: Mapping[str, Any] | None = None,
        sleeves: Iterable[str] = (),
        sol: Token = TOKENS["SOL"],
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self.name = name
        self.real_money = True
        self.markets = tuple(markets)
        self._sol = sol
        self._tokens = _tokens(self.markets, sol)
        self._by_symbol = {one.symbol: one for one in self.markets}
        if not self.markets or len(self._by_symbol) != len(self.markets):
            raise InvalidMarket("Jupiter needs at least one market, each with a symbol of its own")
        if route not in ("build", "execute"):
            raise InvalidMarket(f"route {route!r} is none of build, execute")
        if route == "execute" and any(one.dexes for one in self.markets):
            raise InvalidMarket('DEXes cannot be named on the route "execute"')
        if type(slippage_bps) is not int or not 0 <= slippage_bps < 10_000:
            raise InvalidMarket(f"slippage_bps {slippage_bps!r} must be whole basis points from 0 to below 10,000")
        if most_slots_apart is not None and (type(most_slots_apart) is not int or most_slots_apart < 0):
            raise InvalidMarket(f"most_slots_apart {most_slots_apart!r} must be a whole number of slots from 0 on")
        for what, seconds in (("quote_every", quote_every), ("confirm_within", confirm_within)):
            if seconds is not None and (isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 < seconds < math.inf):
                raise InvalidMarket(f"{what} {seconds!r} must be a positive number of seconds")
        self._signer, self._rpc, self._jito = signer, rpc, jito
        self._api = JupiterApi(HOST) if api is None else api
        if costs not in ("fills", "wallet"):
            raise InvalidMarket(f"costs {costs!r} is none of fills, wallet")
        self._bears = costs == "fills"
        self._route, self._slippage = route, slippage_bps
        self._aside, self._most_fee, self._most_tip = (sol.raw(sol.asset(amount).units) for amount in (aside, most_fee, most_tip))
        self._tip_share = ppm(tip_share, "tip share")
        self._apart, self._quote_every, self._confirm_within = most_slots_apart, quote_every, float(confirm_within)
        self._poll_s, self._resend_s = poll_s, resend_s
        self._programs = {address(key): rule for key, rule in (programs or {}).items()}
        self._guard = Guard(signer.address, programs={JUPITER: None, **self._programs})
        self._ids = ClientIds(sleeves)
        self._clock = clock
        self.slots: dict[str, int] = {}
        """By symbol, the slot of the state that the latest quote is of."""
        self._books: dict[str, tuple[int, int]] = {}
        """By symbol, the latest bid and ask."""
        self._orders: dict[str, _Working] = {}
        self._told: dict[str, Told] = {}
        """By signature, what this process knows that no memo says."""
        self._past: dict[str, _Kept] = {}
        self._asked: dict[str, int] = {}
        """By order, the chain's height when it was first asked about and not found."""
        self._mints: dict[str, Mint] = {}
        self._stack: AsyncExitStack | None = None
        self._tasks: TaskGroup | None = None
        self._inbox: MemoryObjectReceiveStream[Event | VenueUnavailable] | None = None
        self._outbox: MemoryObjectSendStream[Event | VenueUnavailable] | None = None
        self._turn: anyio.Semaphore | None = None
        self._sender: Sender | None = None
        self._lost_told = False
        self._under_way = 0
        """Orders that `submit` waits for."""

    @property
    def instruments(self) -> tuple[Instrument, ...]:
        """What is traded here."""
        return tuple(one.instrument for one in self.markets)

    @property
    def wallet(self) -> str:
        """The wallet's address."""
        return str(self._signer.address)

    def __repr__(self) -> str:
        return f"<Jupiter {self.name} of {self._signer.address}, {len(self.markets)} markets>"

    # -- opening and closing -------------------------------------------------------------------------------------------------

    async def aopen(self) -> None:
        """Look at the tokens, and begin to quote. Raises `VenueUnavailable`; `InvalidMarket` where a mint has other decimals."""
        if self._stack is not None:
            return
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._rpc.aclose)
            stack.push_async_callback(self._api.aclose)
            if self._jito is not None:
                stack.push_async_callback(self._jito.aclose)
            await self._look_at_tokens()
            self._sender = Sender(self._rpc, self._guard, self._signer, poll_s=self._poll_s, resend_s=self._resend_s)
            self._outbox, self._inbox = anyio.create_memory_object_stream[Event | VenueUnavailable](_MOST_WAITING)
            stack.callback(self._inbox.close)
            stack.callback(self._outbox.close)
            self._turn = anyio.Semaphore(1)
            self._tasks = await stack.enter_async_context(anyio.create_task_group())
            if self._quote_every is not None:
                self._tasks.start_soon(self._feed, self._quote_every, name="sleeves jupiter quotes")
            self._stack = stack.pop_all()

    async def aclose(self) -> None:
        """Stop quoting and following. What may still land may still land: `history` tells."""
        stack, self._stack = self._stack, None
        if stack is None:
            return
        assert self._tasks is not None
        self._tasks.cancel_scope.cancel()
        await stack.aclose()

    async def __aenter__(self) -> Jupiter:
        await self.aopen()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        await self.aclose()

    def _check_open(self) -> None:
        if self._stack is None:
            raise VenueUnavailable(f"{self.name} is not open: async with it, or await its aopen()")

    async def _look_at_tokens(self) -> None:
        found = await self._rpc.accounts([address(token.mint) for token in self._tokens])
        for token, account in zip(self._tokens, found.values, strict=True):
            if account is None:
                raise InvalidMarket(f"there is no mint {token.mint} of {token.asset} on this chain")
            mint = Mint.decode(account)
            if mint.decimals != token.decimals:
                raise InvalidMarket(f"{token.asset}, {token.mint}, has {mint.decimals} decimals on the chain, not {token.decimals}")
            self._mints[token.mint] = mint

    # -- the feed ------------------------------------------------------------------------------------------------------------

    async def events(self) -> AsyncIterator[Event]:
        """Prices, the slots that they are of, and what became of orders. Raises `VenueUnavailable` when quotes do not come."""
        self._check_open()
        assert self._inbox is not None
        self._lost_told = False
        while True:
            try:
                event = await self._inbox.receive()
            except (anyio.EndOfStream, anyio.ClosedResourceError):
                return
            if isinstance(event, VenueUnavailable):
                raise VenueUnavailable(str(event))
            yield event

    async def _feed(self, every: float) -> None:
        while True:
            try:
                if not self._under_way:
                    await self.refresh()
            except VenueUnavailable as error:
                log.warning("%s: no quotes: %s", self.name, error)
                if not self._lost_told:
                    self._lost_told = True
                    self._tell_if_room(error)
            await anyio.sleep(every)

    async def refresh(self) -> None:
        """Quote each market once, both ways at its size, and tell it. A market without a route is left out this time.

        While an order is under way nothing is told: the calls are for it, and no price is of a later time than its fill.
        Raises `VenueUnavailable`.
        """
        self._check_open()
        for market in self.markets:
            try:
                await self._quote(market)
            except JupiterRefused as error:
                if error.status in (401, 403):
                    raise VenueUnavailable(str(error)) from None
                log.warning("%s has no quote: %s", market.symbol, error)

    async def _quote(self, market: Market) -> None:
        """What the size would bring, and what that money would buy: a bid and an ask, both rounded against us."""
        instrument = market.instrument
        size = market.base.raw(market.size)
        sold = (await self._ask(market, Side.SELL, size, self._slippage)).route
        bought = (await self._ask(market, Side.BUY, sold.out_amount, self._slippage)).route
        bid = _price(market, sold.in_amount, sold.out_amount, Rounding.FLOOR)
        ask = _price(market, bought.out_amount, bought.in_amount, Rounding.CEIL)
        slots = [one.slot for one in (sold, bought) if one.slot is not None]
        slot = min(slots) if slots else await self._rpc.slot()
        bid, ask = min(bid, ask), max(bid, ask)  # across pools that disagree the router sells dearer than it buys: told against us
        if self._under_way:
            return
        at = self._clock()
        self.slots[market.symbol], self._books[market.symbol] = slot, (bid, ask)
        self._tell_if_room(Reading(f"{market.symbol} slot", at, float(slot)))
        self._tell_if_room(Quote(instrument, at, bid, ask))

    async def _ask(
        self, market: Market, side: Side, raw: int, slippage_bps: int, *, taker: bool = False, bundle: bool = False
    ) -> Build | Ready:
        """A quote for raw units in; what comes with it depends on the route."""
        goes, comes = (market.quote, market.base) if side is Side.BUY else (market.base, market.quote)
        if self._route == "build":
            return await self._api.build(
                goes.mint, comes.mint, raw, taker=self.wallet, slippage_bps=slippage_bps, dexes=market.dexes, for_bundle=bundle
            )
        if not taker:
            return await self._api.order(goes.mint, comes.mint, raw, slippage_bps=slippage_bps, exclude_routers=["jupiterz"])
        fee = self._most_fee - 5_000
        ready = await self._api.order(
            goes.mint,
            comes.mint,
            raw,
            taker=self.wallet,
            slippage_bps=slippage_bps,
            exclude_routers=["jupiterz"],
            priority_fee_lamports=max(0, fee),
            fee_type="maxCap",
        )
        return self._as_promised(ready, raw) if ready.transaction else ready

    def _as_promised(self, ready: Ready, paid: int) -> Ready:
        """An answer whose threshold is what its transaction holds itself to, which is not what is said beside it.

        Raises `Refused` where that cannot be read, and where it says whose order it is: nothing of that kind is asked for.
        """
        swaps = [promise_of(data) for data in called(ready.transaction, JUPITER)]
        promise = swaps[0] if len(swaps) == 1 else None
        if promise is None:
            raise Refused("promise", "it is no single swap of Jupiter's program that says what goes in and the least that comes")
        if promise.paid != paid:
            raise Refused("promise", f"{promise.paid} raw units go in, and {paid} were asked for")
        memos = called(ready.transaction, MEMO, MEMO_V1)
        if any(read_memo(self._ids, data.decode("utf-8", "replace")) for data in memos):
            raise Refused("memo", "a memo in it says whose order it is, which only we say")
        return evolve(ready, route=evolve(ready.route, threshold=min(ready.route.threshold, promise.least)))

    def _tell_if_room(self, event: Event | VenueUnavailable) -> None:
        """Prices may be skipped: they leave room for what may not."""
        assert self._outbox is not None
        if self._outbox.statistics().current_buffer_used < _MOST_WAITING // 2:
            self._outbox.send_nowait(event)

    async def _tell(self, *events: Event) -> None:
        assert self._outbox is not None
        for event in events:
            await self._outbox.send(event)

    # -- orders --------------------------------------------------------------------------------------------------------------

    async def submit(self, order: Order) -> None:
        """Trade an order at once. Returns when it is decided; what became of it is told as events.

        Raises `VenueUnavailable` when nothing was sent, and `VenueUnknown` when it was and is not decided in time: it is followed
        on, and told when it is.
        """
        self._check_open()
        if order.id in self._orders:
            return
        working = self._orders[order.id] = _Working(order)
        until = anyio.current_time() + self._confirm_within
        self._under_way += 1
        try:
            why = self._refusal(order)
            if why:
                await self._end(working, OrderStatus.REJECTED, why)
            elif await self._begin(working, until):
                with anyio.move_on_after(max(0.0, until - anyio.current_time())):
                    await working.decided.wait()
        except BaseException:
            if working.report is None and not working.signature:
                del self._orders[order.id]  # nothing of it was sent
            raise
        finally:
            self._under_way -= 1
        if working.error is not None:
            raise working.error
        if working.report is None:
            raise VenueUnknown(f"{order.id} was sent as {working.signature} and is not decided yet")

    def _refusal(self, order: Order) -> str:
        """Why an order is not even quoted; nothing where nothing speaks against it."""
        place = order.place
        market = self._by_symbol.get(place.instrument.symbol)
        if market is None or market.instrument != place.instrument:
            return f"{place.instrument} is not traded here"
        if place.stop is not None:
            return "a stop rests, and nothing rests at a router"
        if place.post_only:
            return "post-only rests, and nothing rests at a router"
        if place.limit is not None and place.tif is TimeInForce.GTC:
            return "a limit that rests cannot be placed at a router: make it immediate or cancel, or fill or kill"
        if place.qty % market.instrument.lot_units or place.qty < market.instrument.min_qty_units:
            return f"{place.qty} units are no whole number of lots of {market.instrument.lot}, or too few"
        try:
            self._ids.hex(order.id)
        except VenueRejected as error:
            return str(error)
        return "" if place.reduce_only else self._too_far_apart(market)

    def _too_far_apart(self, market: Market) -> str:
        """Quotes of one pair at several DEXes are told one after the other: of states too far apart, they are no comparison."""
        if self._apart is None or not market.dexes:
            return ""
        slots = {
            one.symbol: self.slots[one.symbol] for one in self.markets if one.dexes and _same_pair(one, market) and one.symbol in self.slots
        }
        far = max(slots.values(), default=0) - min(slots.values(), default=0)
        if far <= self._apart:
            return ""
        shown = ", ".join(f"{name} (slot {slot})" for name, slot in slots.items())
        return f"slots apart: the quotes of {shown} are {far} slots apart, and at most {self._apart} are allowed"

    async def _begin(self, working: _Working, until: float) -> bool:
        """Quote, put together, look at, run and sign; then have it sent and followed. False where it came to nothing before."""
        assert self._turn is not None
        assert self._tasks is not None
        order, market = working.order, self._by_symbol[working.order.place.instrument.symbol]
        prepared = None
        with anyio.move_on_after(max(0.0, until - anyio.current_time())):
            await self._turn.acquire()
            try:
                prepared = await self._prepare(order, market)
            except AlreadyLanded as error:
                raise VenueUnknown(str(error)) from None
            except (Beyond, VenueRejected, InvalidMarket) as error:
                if _not_sent_on(error):
                    raise VenueUnavailable(f"{order.id}: the node is behind: {error}; nothing was sent") from None
                await self._end(working, *_verdict(error))
                return False
            finally:
                if prepared is None:
                    self._turn.release()
        if prepared is None:
            raise VenueUnavailable(f"{order.id}: not signed within {self._confirm_within:g} s; nothing was sent")
        signed, blockhash, broadcast, held_at, made = prepared
        working.signature = str(signed.signature)
        self._told[working.signature] = made
        self._tasks.start_soon(self._follow, working, signed, blockhash, broadcast, held_at, name=f"sleeves jupiter {order.id}")
        return True

    async def _prepare(self, order: Order, market: Market) -> tuple[Signed, Blockhash | None, Broadcast | None, int, Told]:
        """A signed transaction for an order, how it is to be sent, and what it is. Nothing is sent here."""
        assert self._sender is not None
        wallet = await self._read_wallet(market)
        tip, tip_account = await self._tip(order, market)
        book = self._books.get(market.symbol)
        side = order.place.side
        self._afford(market, side, self._needs_at_least(order, market), wallet, tip)

        async def ask(raw: int, slippage_bps: int) -> Build | Ready:
            return await self._ask(market, side, raw, slippage_bps, taker=True, bundle=bool(tip))

        offer = await find_offer(order, market, ask, book[1] if book is not None else None, self._slippage)
        self._afford(market, side, offer.paid, wallet, tip)
        if isinstance(offer.answer, Ready):
            if not offer.answer.transaction:
                raise Refused("order", f"{offer.answer.router} {offer.answer.code}: {offer.answer.said}")
            if not offer.answer.request:
                raise Refused("order", "it has no requestId, without which nobody sends it")
            signed = await self._sender.prepare(offer.answer.transaction, self._spending(market, side, offer), name=order.id)
            return signed, None, self._by_jupiter(offer.answer), -1, self._made(order, market)
        blockhash = await self._rpc.latest_blockhash()
        made = self._made(order, market)
        note = memo_of(self._ids, made.order_id, made.qty, made.at, made.symbol)
        programs = self._mints[market.base.mint].program, self._mints[market.quote.mint].program
        offered = unit_price_of(offer.answer)
        terms = Terms(MOST_UNITS, fitting_price(offered, MOST_UNITS, self._most_fee), tip, tip_account)
        raw, spending, held_at = write(self.wallet, market, side, offer, terms, wallet, blockhash, note, programs)
        self._guard.examine(raw, await self._rpc.lookup_tables(table_keys(raw)), spending)
        run = await self._rpc.simulate(raw)
        if run.err is not None:
            if _moved_on(run.err, -1):
                raise Beyond(f"a run of it brings too little: {run.err}")
            less = "it brings less than the interface says" if (_custom(run.err) or (-1,))[0] == held_at else "it would fail"
            raise Refused("simulation", f"{less}: {run.err}")
        units = min(MOST_UNITS, (run.units or MOST_UNITS) * 12 // 10 + 1_000)
        terms = Terms(units, fitting_price(offered, units, self._most_fee), tip, tip_account)
        raw, spending, held_at = write(self.wallet, market, side, offer, terms, wallet, blockhash, note, programs)
        signed = await self._sender.prepare(raw, spending, name=order.id)
        return signed, blockhash, self._by_bundle() if tip else None, held_at, made

    def _made(self, order: Order, market: Market) -> Told:
        """What is known of a transaction that is made now: the same as its memo says, to the digit."""
        return Told(order.id, order.place.qty, in_ms(max(self._clock(), order.at)), market.symbol)

    async def _read_wallet(self, market: Market) -> Wallet:
        me = self._signer.address
        own = [ata(me, address(one.mint), self._mints[one.mint].program) for one in (self._sol, market.base, market.quote)]
        return Wallet.of((await self._rpc.accounts([me, *own])).values)

    def _needs_at_least(self, order: Order, market: Market) -> int:
        """What an order pays at the very least, in raw units: what it sells, or a buy at the bid."""
        if order.place.side is Side.SELL:
            return market.base.raw(order.place.qty)
        bid = self._books.get(market.symbol, (0, 0))[0]
        return divide(market.instrument.cost(bid, order.place.qty, Rounding.FLOOR), market.quote.factor, Rounding.FLOOR)

    def _afford(self, market: Market, side: Side, paid: int, wallet: Wallet, tip: int) -> None:
        """What goes in must be there, and SOL for the costs besides, which may come out of what lies aside. Raises `Refused`.

        Where the wallet bears the costs, what lies aside is less by them than the books know: then it is no bar.
        """
        goes, has = (market.quote, wallet.quote) if side is Side.BUY else (market.base, wallet.base)
        there = wallet.lamports + (wallet.wrapped or 0)
        spare = there - self._most_fee - tip - NEEDED
        if goes.mint == self._sol.mint:
            has, spare = there - (self._aside if self._bears else 0), spare - paid
        if (has or 0) < paid:
            need, free = (Amount(max(0, raw) * goes.factor, goes.asset) for raw in (paid, has or 0))
            raise Refused("funds", f"{need} are to be paid, and {free} are free")
        if spare < 0:
            short = Amount(-spare * self._sol.factor, self._sol.asset)
            raise Refused("funds", f"{short} more are needed for fees and rent, and to keep the wallet alive")

    def _spending(self, market: Market, side: Side, offer: Offer) -> Spending:
        goes, comes = (market.quote, market.base) if side is Side.BUY else (market.base, market.quote)
        most = {address(goes.mint): offer.paid}
        return Spending(most_out=most, least_in={address(comes.mint): offer.least}, lamports=self._most_fee, fee=self._most_fee, rent=0)

    # -- tips and ways to send -----------------------------------------------------------------------------------------------

    async def _tip(self, order: Order, market: Market) -> tuple[int, str]:
        """What is tipped for a bundle, in lamports, and to whom; 0: no bundle is worth it."""
        if self._jito is None or self._route != "build":
            return 0, ""
        if order.place.expect is None:
            tip = LEAST_TIP if self._most_tip >= LEAST_TIP else 0
        else:
            expected = self._in_lamports(order.place.expect, market)
            tip = 0 if expected is None else tip_for(expected, share=self._tip_share, most=self._most_tip)
        if not tip:
            return 0, ""
        try:
            accounts = await self._jito.tip_accounts()
        except VenueUnavailable as error:
            log.warning("%s: no bundle: %s", order.id, error)
            return 0, ""
        self._guard.tip_accounts = frozenset(map(address, accounts))
        return tip, accounts[self._clock() // 1_000_000 % len(accounts)]

    def _in_lamports(self, units: int, market: Market) -> int | None:
        """Quote units as lamports, rounded down; None where no market tells what SOL costs in that coin."""
        if units <= 0:
            return 0
        if market.quote.mint == self._sol.mint:
            return units // self._sol.factor
        for one in self.markets:
            if one.base.mint == self._sol.mint and one.quote.mint == market.quote.mint and one.symbol in self._books:
                ask = self._books[one.symbol][1]
                times, over = one.instrument.ratio
                return divide(units * over, ask * times * self._sol.factor, Rounding.FLOOR)
        return None

    def _by_bundle(self) -> Broadcast:
        """As a bundle first, then through the node."""
        assert self._jito is not None
        through = bundles_first(self._jito, lambda raw, skip: self._rpc.send(raw, skip_preflight=skip))

        async def broadcast(signed: Signed, times: int) -> None:
            await through(signed.raw, times)

        return broadcast

    def _by_jupiter(self, ready: Ready) -> Broadcast:
        """Through Jupiter once, then through the node."""
        api, rpc = self._api, self._rpc

        async def broadcast(signed: Signed, times: int) -> None:
            if times:
                await rpc.send(signed.raw, skip_preflight=times > 1)
                return
            try:
                done = await api.execute(signed.raw, ready.request, last_valid_block_height=ready.last_valid_block_height)
            except JupiterRefused as error:
                raise VenueUnavailable(str(error)) from None
            if done.success:
                return
            log.warning("%s: Jupiter says %s %s", signed.signature, done.code, done.said)
            if done.code in (-1, -2, -3, -1_002, -1_003, -1_004, -2_002, -2_003, -2_004):
                raise VenueUnavailable(f"Jupiter did not send it: {done.code} {done.said}")
            raise VenueUnknown(f"Jupiter failed to land it: {done.code} {done.said}")

        return broadcast

    # -- what becomes of it ----------------------------------------------------------------------------------------------------

    async def _follow(self, working: _Working, signed: Signed, valid: Blockhash | None, broadcast: Broadcast | None, held_at: int) -> None:
        """Send a transaction and follow it until it is decided; whatever that takes, no other order of the wallet begins before.

        Whatever goes wrong on the way, it is asked about again: what was sent is an open order until the chain has decided it.
        Once it has, others may begin, though it may not be told yet.
        """
        assert self._sender is not None
        assert self._turn is not None
        turn, name = self._turn, signed.signature
        held = True
        try:
            outcome: Outcome = Unknown(name, "it was not sent yet")
            try:
                outcome = await self._sender.land(signed, valid, broadcast=broadcast)
            except (VenueUnavailable, VenueRejected) as error:
                if isinstance(error, VenueUnavailable) or _not_sent_on(error):
                    working.error = VenueUnavailable(f"{working.order.id}: {error}; nothing was sent")
                    del self._orders[working.order.id]
                else:
                    await self._end(working, *_verdict(error, held_at))
                return
            except Exception:
                log.exception("%s, %s: whether it was sent is not known", working.order.id, name)
            last = outcome.last if isinstance(outcome, Unknown) else None
            kept: _Kept | None = None
            while True:
                try:
                    if isinstance(outcome, Unknown):
                        last = await self._sender.good_until(valid) if last is None else last
                        outcome = await self._sender.outcome(name, signed.blockhash, last)
                    if not isinstance(outcome, Unknown):
                        well = isinstance(outcome, Landed) and outcome.err is None
                        kept = await self._record(str(name)) if well else None
                        if kept is not None or not well:
                            break
                except VenueError as error:
                    log.warning("%s is not told yet: %s", name, error)
                except Exception:
                    log.exception("%s, %s, cannot be followed, and is asked about again", working.order.id, name)
                if held and not isinstance(outcome, Unknown):
                    turn.release()
                    held = False
                await anyio.sleep(self._poll_s)
            await self._decide(working, outcome, kept, held_at)
        finally:
            if held:
                turn.release()
            working.decided.set()

    async def _decide(self, working: _Working, outcome: Landed | Expired, kept: _Kept | None, held_at: int) -> None:
        """Tell what became of an order; `kept` is what a transaction did that landed well."""
        if isinstance(outcome, Expired):
            await self._end(working, OrderStatus.REJECTED, f"{outcome.signature} expired and never landed", reached=False)
        elif kept is None:
            if _moved_on(outcome.err, held_at):
                await self._end(working, OrderStatus.CANCELED, f"the market moved on: {outcome.err}")
            else:
                await self._end(working, OrderStatus.REJECTED, f"it landed and failed: {outcome.err}")
        else:
            await self._tell(*kept.fills)
            filled = sum(fill.qty for fill in kept.fills)
            if filled < working.order.place.qty:
                why = "it came out below what was ordered" if filled else f"{outcome.signature} landed and traded nothing of this market"
                await self._end(working, OrderStatus.CANCELED, why, filled, kept.moves.at)
            else:
                working.report = self._report(working, OrderStatus.FILLED, kept.moves.at, filled)

    async def _end(
        self, working: _Working, status: OrderStatus, why: str, filled: int = 0, after: int = 0, *, reached: bool = True
    ) -> None:
        """An order is over, but for its fills."""
        order = working.order
        at = max(self._clock(), order.at, after)
        working.report = self._report(working, status, at, filled, why)
        event = Canceled(order.id, at, why) if status is OrderStatus.CANCELED else Rejected(order.id, at, why, reached)
        log.info("%s: %s: %s", order.id, status.value, why)
        await self._tell(event)

    @staticmethod
    def _report(working: _Working, status: OrderStatus, at: int, filled: int, why: str = "") -> OrderReport:
        return OrderReport(working.order.id, at, status, filled, why, working.signature)

    async def cancel(self, order: Order) -> None:  # noqa: ARG002 whichever it is
        """Nothing rests here, so there is nothing to cancel: what was sent is traded or over."""
        self._check_open()

    async def settle(self, instrument: Instrument) -> None:
        raise VenueRejected(f"{instrument} is no perpetual of {self.name}")

    async def look_up(self, order: Order) -> OrderReport | None:
        """What became of an order: as this process knows it, else as the chain tells by its memo.

        One that an earlier process may have sent is rejected only by the chain's own word; see `_never_landed`.
        """
        self._check_open()
        working = self._orders.get(order.id)
        if working is not None:
            return working.report or self._report(working, OrderStatus.OPEN, order.at, 0)
        for kept in await self._all(order.at):
            mine = [fill for fill in kept.fills if fill.order_id == order.id]
            told = self._told.get(kept.moves.signature)
            if not mine and (told is None or told.order_id != order.id):
                continue
            filled = sum(fill.qty for fill in mine)
            status = (
                OrderStatus.FILLED if filled >= order.place.qty else OrderStatus.REJECTED if kept.moves.failed else OrderStatus.CANCELED
            )
            return OrderReport(
                order.id, kept.moves.at, status, filled, "it landed and failed" if kept.moves.failed else "", kept.moves.signature
            )
        return await self._never_landed(order)

    async def _never_landed(self, order: Order) -> OrderReport | None:
        """That an order of an earlier process came to nothing; None while that is not certain. Silence of a node is no evidence.

        Certain it is when blocks that are final are ten minutes past the order's time, and two lifetimes of a blockhash past the
        height at which this process asked first, when nobody was left to sign for it; and when a node which is no less far along
        lists the wallet's transactions from long before the order on, with none of that order, and no swap of which no memo says
        whose it was.
        """
        if self._route != "build":
            return None
        asked = self._asked.get(order.id)
        if asked is None:
            self._asked[order.id] = await self._rpc.block_height("processed")
            return None
        final = await self._rpc.epoch_info("finalized")
        if final.block_height <= asked + GOOD_FOR + UNSEEN:
            return None
        at, first = await self._rpc.block_time(final.slot), await self._rpc.block_time(await self._rpc.first_block())
        since = order.at - _FAR_BACK
        if at is None or first is None or at < order.at + _LONG or first > since:
            return None
        for one in await self._rpc.signatures_for(self._signer.address, since=since, min_slot=final.slot):
            kept = await self._record(str(one.signature), one.at)
            if kept is None:
                return None
            told, moves = self._told.get(kept.moves.signature), kept.moves
            unclaimed = told is None and moves.mine and not moves.failed and moves.at >= order.at - _LOOK_BACK
            if (told is not None and told.order_id == order.id) or (unclaimed and moves.is_swap):
                return None
        if order.id in self._orders:
            return None
        return OrderReport(order.id, max(at, order.at), OrderStatus.REJECTED, 0, "it is not in the final chain, and can land no more", "")

    async def open_orders(self) -> Sequence[OrderReport]:
        """Those that are sent and not decided."""
        self._check_open()
        return [
            self._report(one, OrderStatus.OPEN, one.order.at, 0) for one in self._orders.values() if one.report is None and one.signature
        ]

    # -- custody -------------------------------------------------------------------------------------------------------------

    async def balances(self) -> Mapping[str, Amount]:
        """The coins of the markets, by code: SOL with what is wrapped of it, less what lies aside. Other tokens are not told."""
        self._check_open()
        lamports = await self._rpc.balance(self._signer.address)
        held = {token.mint: 0 for token in self._tokens}
        held[self._sol.mint] = lamports - self._aside
        for account in await self._rpc.token_accounts(self._signer.address):
            mint = str(account.mint)
            if mint in held:
                held[mint] += account.amount
        return {token.asset.code: Amount(held[token.mint] * token.factor, token.asset) for token in self._tokens}

    async def positions(self) -> Mapping[str, Position]:
        """Coins only: there are no contracts here."""
        self._check_open()
        return {}

    async def history(self, since: int) -> Sequence[Fill]:
        """Every trade of the wallet on these markets: ours by their orders, others by the signature of their transaction."""
        return [fill for kept in await self._all(since) for fill in kept.fills]

    async def cash_flows(self, since: int) -> Sequence[CashFlow]:
        """What every transaction of the wallet moved of these coins, fees and rent apart."""
        lines: list[CashFlow] = []
        for kept in await self._all(since):
            lines += flows_of(kept.moves, kept.fills, self._tokens, self._sol, self.name, bears=self._bears)
        return lines

    async def transfer(self, transfer: Transfer) -> None:
        raise VenueRejected(f"{self.name} moves no coins of a wallet: {transfer.id} of {transfer.amount} is for its custody")

    async def _all(self, since: int) -> list[_Kept]:
        """Every transaction that the wallet, or a token account of it, was part of, from an instant on, the oldest first."""
        self._check_open()
        me = self._signer.address
        own = {ata(me, address(token.mint), self._mints[token.mint].program) for token in self._tokens}
        own |= {one.address for one in await self._rpc.token_accounts(me) if str(one.mint) in self._mints}
        places: dict[str, tuple[int, int, int]] = {}
        times: dict[str, int | None] = {}
        for number, key in enumerate([me, *sorted(own, key=bytes)]):
            for place, one in enumerate(await self._rpc.signatures_for(key, since=since - _LOOK_BACK)):
                name = str(one.signature)
                places.setdefault(name, (one.slot, number, place))
                times[name] = one.at
        found = []
        for name in sorted(places, key=lambda one: places[one]):
            kept = await self._record(name, times[name])
            if kept is None:
                raise VenueUnavailable(f"the node lists {name} and does not tell it")
            if kept.moves.at >= since:
                found.append(kept)
        return sorted(found, key=lambda kept: kept.moves.at)

    async def _record(self, name: str, at: int | None = None) -> _Kept | None:
        """A transaction as it is told: read once, and kept. None where the node does not have it yet."""
        kept = self._past.get(name)
        if kept is not None:
            return kept
        chained = await self._rpc.transaction(signature(name))
        if chained is None:
            return None
        when = chained.at if chained.at is not None else at
        when = await self._rpc.block_time(chained.slot) if when is None else when
        if when is None:
            raise VenueUnavailable(f"the node does not say when {name} landed")
        moves = moves_of(chained, self._signer.address, when)
        told = self._told.get(name) or (told_by(self._ids, chained.memos) if moves.mine else None)
        if told is not None:
            self._told[name], moves = told, evolve(moves, at=max(moves.at, min(told.at, moves.at + _LOOK_BACK)))
        market = self._by_symbol.get(told.symbol) if told is not None else market_of(moves, self.markets) if moves.mine else None
        fills: tuple[Fill, ...] = ()
        if market is not None:
            order_id, ordered = (name, None) if told is None else (told.order_id, told.qty)
            fills = fills_of(moves, market, self._sol, order_id, ordered, self.name, bears=self._bears)
        self._past[name] = _Kept(moves, fills)
        return self._past[name]


def _tokens(markets: Sequence[Market], sol: Token) -> tuple[Token, ...]:
    """Every token once. Raises `InvalidMarket` where one code has two mints, or one mint two codes."""
    found: dict[str, Token] = {}
    for token in (sol, *(token for market in markets for token in (market.base, market.quote))):
        other = next((one for one in found.values() if one.asset.code == token.asset.code and one != token), found.get(token.mint, token))
        if other != token:
            raise InvalidMarket(f"{token.asset} is {token.mint} here, and {other.asset} {other.mint} there")
        found[token.mint] = token
    return tuple(found.values())


def _same_pair(one: Market, other: Market) -> bool:
    return (one.base.mint, one.quote.mint) == (other.base.mint, other.quote.mint)


def _price(market: Market, base: int, quote: int, rounding: Rounding) -> int:
    """Raw units of quote for raw units of base as a price on the tick; at least one tick."""
    instrument = market.instrument
    times, over = instrument.ratio
    ticks = divide(quote * market.quote.factor * over, base * market.base.factor * times * instrument.tick_units, rounding)
    return max(1, ticks) * instrument.tick_units


def _custom(err: Any) -> tuple[int, int] | None:
    """The place and the number of a program's own error."""
    if isinstance(err, dict):
        told = err.get("InstructionError")
        if isinstance(told, list) and len(told) == 2 and isinstance(told[1], dict) and type(told[1].get("Custom")) is int:
            return int(told[0]), int(told[1]["Custom"])
    return None


def _moved_on(err: Any, held_at: int) -> bool:
    """Whether a swap failed because it would bring too little: by Jupiter's own check, or by the one that is ours."""
    found = _custom(err)
    return found is not None and (found[1] == SLIPPAGE or found[0] == held_at)


def _not_sent_on(error: Exception) -> bool:
    """Whether a node refused a transaction for its blockhash alone: it may be made again."""
    return getattr(error, "err", None) == _NO_BLOCKHASH or _NO_BLOCKHASH in str(error)


def _verdict(error: Exception, held_at: int = -1) -> tuple[OrderStatus, str]:
    """What an order comes to that was not sent."""
    if isinstance(error, Beyond):
        return OrderStatus.CANCELED, str(error)
    if _moved_on(getattr(error, "err", None), held_at):
        return OrderStatus.CANCELED, f"the market moved on: {error}"
    return OrderStatus.REJECTED, str(error)
