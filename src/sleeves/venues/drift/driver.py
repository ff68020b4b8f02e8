"""Perpetuals of Drift v2 and of its successor Velocity as a venue: one driver, several deployments; the chain is the truth.

    feed      the oracle's price with its confidence and a spread, per market and sub-account; funding rates as ratios
    order     looked at, run, signed, sent through a bundle or the node, followed until the chain has decided; then keepers fill it
    coins     deposits, withdrawals, moves between sub-accounts: run before they are sent, told when they are confirmed
    past      every transaction of the sub-accounts, read as facts and as lines of a ledger

Confirmed means placed, not filled: fills come in later transactions, of keepers. Each sub-account is one margin account; an
instrument is a market in one of them, "SOL-PERP:1". Our order's id stands in a memo of the transaction that places it, so nothing
of ours is kept between the books and the chain. What may still land is followed to its end, by block height and never by time.

What is live: `VELOCITY` by its authors' word; the exact version on chain is not known here, so its accounts are held against the
layouts when the driver opens, and a mismatch ends it. `DRIFT_V2` was drained on 2026-04-01 and is frozen: it is read, and trades
only with `trade_frozen=True`. Durable nonces are refused: with one a signed transaction never expires, which is how that attack waited.

It knows no vault and no strategy. The key signs what the guard has cleared and nothing else.
"""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

import anyio
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from attrs import define, field, frozen

from ...errors import InvalidMarket, SleevesError, VenueError, VenueRejected, VenueUnavailable, VenueUnknown
from ...facts import CashFlow, Settled, Shifted, Transferred, TransferRefused
from ...margin import health_bp
from ...market import Instrument
from ...money import Amount, AmountLike, Asset
from ...orders import Event, Order, OrderReport, OrderStatus, Position, Rejected, Transfer
from ..ids import ClientIds
from ..jito import Jito
from ..solana import Expired, Guard, Landed, Rpc, Signer, TokenAccount, ata
from ..solana.addresses import TOKEN, TOKEN_2022
from ..solana.send import GOOD_FOR, UNSEEN, AlreadyLanded
from ..solana.written import address
from .account import Look, check_mint, look, perp_markets, positions
from .accounts import PerpMarket, SpotMarket, User, WrongAccount
from .carrier import PER_SIGNATURE, Carrier, Load, Prepared
from .deployment import Deployment
from .done import Done, Seen
from .events import OrderPlaced
from .fence import Fence
from .funds import Plan, load_of, needs_of, plan_of, refreshed, refusal_of
from .instructions import Instructions
from .markets import Markets, Perp
from .notes import OrderNote, TransferNote, cancel_note, in_ms, order_note, settle_note, told_by, transfer_note
from .orders import Ask, lying, open_report, order_params, refusal
from .past import Past
from .prices import doubt_of, quote_of, rate_of
from .refusals import ProgramSaidNo
from .risk import account_of, contract_name, price_of, settleable
from .words import OrderKind

__all__ = ["FROZEN", "Drift"]

FROZEN: Mapping[str, str] = {
    "drift": "Drift v2 was drained on 2026-04-01 and is frozen: it is read here, and traded only with trade_frozen=True",
}
"""Deployments that are not to be traded, by name, and why."""
LEAST_HEALTH = 80
"""Below this health nothing is taken out of a sub-account that holds contracts."""
_MOST_WAITING = 4_096
_FIRST_WAIT_S = 30.0
"""Seconds after which a transfer that is not confirmed is warned of; it is polled on until `confirm_within`."""
_LONG = 600_000_000_000
"""How far the chain must have come past an instant before its absence in it means something, in ns."""
_FAR_BACK = 21_600_000_000_000
"""From how long before an instant a transaction is searched for when its absence is to mean something, in ns."""
_APART = 300_000_000_000
"""How far our clock and the chain's may be apart, in ns: what is told of the last minutes, and when an order ends, go by both."""
_ROOM_S = 0.02
"""Seconds until it is tried again to tell what there was no room for."""
_GRACE_S = 10
"""Seconds after an order's end in which keepers may take it off, before we do."""
_SECOND = 1_000_000_000
_LAMPORTS = Asset("SOL", 9)

log = logging.getLogger("sleeves.venues.drift")
log.addHandler(logging.NullHandler())


def _utc(at: int) -> str:
    """An instant (UTC ns) for a reader, to the millisecond."""
    return f"{datetime.fromtimestamp(at // _SECOND, UTC):%Y-%m-%d %H:%M:%S}.{at % _SECOND // 1_000_000:03d} UTC"


def _accounts(given: object) -> tuple[int, ...]:
    """The numbers of the sub-accounts, in order. Raises `InvalidMarket` where they are none."""
    found = tuple(given) if isinstance(given, Iterable) and not isinstance(given, (str, bytes)) else None
    if found is None or not all(type(sub) is int and 0 <= sub <= 0xFFFF for sub in found) or len(set(found)) < len(found) or 0 not in found:
        raise InvalidMarket(f"accounts {given!r} must be distinct whole numbers from 0 to 65535, 0 among them, such as (0, 1)")
    return tuple(sorted(found))


def _names(given: object) -> tuple[str, ...]:
    """The names of markets, each once. Raises `InvalidMarket` where they are none."""
    found = tuple(given) if isinstance(given, Iterable) and not isinstance(given, (str, bytes)) else ()
    if not found or not all(isinstance(one, str) and one for one in found):
        raise InvalidMarket(f'markets {given!r} must be names of perpetuals, at least one, such as ("SOL-PERP",)')
    return tuple(dict.fromkeys(found))


def _coins(what: str, given: AmountLike, asset: Asset, least: int) -> int:
    """Units of an amount that is written in coins. Raises `InvalidMarket` below the least."""
    try:
        units = asset(given).units
    except SleevesError as error:
        raise InvalidMarket(f"{what} {given!r} must be an amount of {asset}: {error}") from None
    if units < least:
        why = "the fee of a signature" if least else "nothing"
        raise InvalidMarket(f"{what} {given!r} must be at least {asset.units(least)}, {why}")
    return units


@contextmanager
def _known(what: str) -> Iterator[None]:
    """Before anything is sent: where what must be known for it is not, nothing was done."""
    try:
        yield
    except (VenueRejected, VenueUnavailable, VenueUnknown):
        raise
    except (VenueError, InvalidMarket) as error:
        raise VenueUnavailable(f"{what}: {error}; nothing was sent") from error


@define(eq=False)
class _Working:
    """One order, transfer or other transaction of this process, and what became of it."""

    name: str
    decided: anyio.Event = field(factory=anyio.Event)
    signature: str = ""
    report: OrderReport | None = None
    error: VenueError | None = None
    landed: bool = False
    ends: int | None = None
    """Until when an order was asked for, in UTC seconds; None: until it is canceled."""
    holds: anyio.Semaphore | None = None
    """What is let go when it is decided."""


@frozen(order=False)
class _Open:
    """What a driver has while it is open."""

    carrier: Carrier
    past: Past
    tasks: TaskGroup
    outbox: MemoryObjectSendStream[Event | VenueUnavailable]
    inbox: MemoryObjectReceiveStream[Event | VenueUnavailable]
    turn: anyio.Lock = field(factory=anyio.Lock)
    """Held while a transaction is written, run and signed: one at a time, so that none is written on what another is about to change."""
    hearing: anyio.Lock = field(factory=anyio.Lock)
    moving: anyio.Semaphore = field(factory=lambda: anyio.Semaphore(1))
    """Held by a transfer until it is decided: the program would lend what another transfer has taken away meanwhile."""


class Drift:
    """An authority's sub-accounts at a deployment. `async with` it, or `aopen` and `aclose` in one task.

    `rpc`             the node; it is closed with the driver, as `jito` is
    `deployment`      which program on which chain: `VELOCITY`, `VELOCITY_DEVNET`, `DRIFT_V2`
    `signer`          the authority's key, or with `authority` that of its delegate, who may trade and not move coins
    `accounts`        numbers of the sub-accounts, (0, 1, 2): 0 is the main one, through which coins come and go, the others are engines'.
                      They are made in turn, when coins are first moved to them: all below the highest are there or named
    `markets`         names of the perpetuals that are quoted and traded, ("SOL-PERP",)
    `authority`       base58 text: whose sub-accounts they are; None: the signer's own
    `jito`            a block engine, for bundles; None: all goes through the node
    `name`            must be the deployment's, if given
    `trade_frozen`    False: a deployment that is frozen is read and not traded
    `spots`           numbers of spot markets besides the quote coin's whose coins are moved, ()
    `slippage_bps`    50 hundredths of a percent: how much worse than the oracle's price an order at market may come out, within its bound
    `spread_bps`      5 hundredths of a percent: what a quote stands off the oracle's price to either side
    `auction_slots`   20 slots: how long an order at market is auctioned
    `last_s`          60 seconds: how long an order at market lives
    `least_health`    80, of 100: below it nothing is taken out of a sub-account that holds contracts
    `settle_above`    "1", in quote coins: a profit or loss up to this stays unsettled
    `most_fee`        "0.001", in SOL: the most that a transaction pays for its signature (0.000005) and its priority
    `tip`             "0.00001", in SOL: what a bundle tips; 0: no bundles
    `quote_every`     2 seconds between two looks at prices; None: only `refresh` looks
    `watch_every`     2 seconds between two looks at what happened; None: only `hear` looks
    `confirm_within`  60 seconds: how long a call waits for the chain before it says that the end is not known yet
    `poll_s`          0.5 seconds between two questions about a transaction that was sent
    `resend_s`        2 seconds between two sendings of the same bytes
    `sleeves`         names of more than 15 characters, ()
    `genesis`         the hash that the node's chain must begin with; "": it is not asked
    `clock`           UTC nanoseconds, the system's

    Raises `InvalidMarket` for markets and terms that cannot be.
    """

    def __init__(
        self,
        rpc: Rpc,
        deployment: Deployment,
        signer: Signer,
        accounts: Iterable[int] = (0, 1, 2),
        markets: Iterable[str] = ("SOL-PERP",),
        *,
        authority: str | None = None,
        jito: Jito | None = None,
        name: str | None = None,
        trade_frozen: bool = False,
        spots: Iterable[int] = (),
        slippage_bps: int = 50,
        spread_bps: int = 5,
        auction_slots: int = 20,
        last_s: int = 60,
        least_health: int = LEAST_HEALTH,
        settle_above: AmountLike = "1",
        most_fee: AmountLike = "0.001",
        tip: AmountLike = "0.00001",
        quote_every: float | None = 2.0,
        watch_every: float | None = 2.0,
        confirm_within: float = 60.0,
        poll_s: float = 0.5,
        resend_s: float = 2.0,
        sleeves: Iterable[str] = (),
        genesis: str = "",
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        if not isinstance(deployment, Deployment):
            raise InvalidMarket(f"the deployment {deployment!r} must be a Deployment, such as VELOCITY")
        self.name = deployment.name if name is None else name
        self.real_money = True
        self.deployment = deployment
        self.accounts = _accounts(accounts)
        self.names = _names(markets)
        if self.name != deployment.name:
            raise InvalidMarket(f"the name {name!r}: instruments of {deployment.name} bear its name, and so must its venue")
        for what, value, most in (
            ("slippage_bps", slippage_bps, 9_999),
            ("spread_bps", spread_bps, 9_999),
            ("least_health", least_health, 100),
        ):
            if type(value) is not int or not 0 <= value <= most:
                raise InvalidMarket(f"{what} {value!r} must be a whole number from 0 to {most}")
        if type(auction_slots) is not int or not 1 <= auction_slots <= 255 or type(last_s) is not int or last_s < 10:
            raise InvalidMarket(f"auction_slots {auction_slots!r} must be from 1 to 255, and last_s {last_s!r} whole seconds from 10 on")
        waits = {
            "quote_every": quote_every,
            "watch_every": watch_every,
            "confirm_within": confirm_within,
            "poll_s": poll_s,
            "resend_s": resend_s,
        }
        for what, seconds in waits.items():
            if seconds is None and what in ("quote_every", "watch_every"):
                continue
            if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 < seconds < math.inf:
                raise InvalidMarket(f"{what} {seconds!r} must be a positive number of seconds")
        if not isinstance(genesis, str):
            raise InvalidMarket(f"genesis {genesis!r} must be the hash that the chain begins with, as text; '' for any")
        self._genesis = genesis
        self._signer, self._rpc, self._jito = signer, rpc, jito
        self._key = str(signer.address)
        self._authority = self._key if authority is None else str(address(authority))
        self._trades = trade_frozen or deployment.name not in FROZEN
        self._spots = tuple(spots)
        self._ask = Ask(slippage_bps, auction_slots, last_s)
        self._spread, self._least_health = spread_bps, least_health
        self._settle_above = _coins("settle_above", settle_above, deployment.quote.asset, 0)
        self._quote_every, self._watch_every, self._confirm_within = quote_every, watch_every, float(confirm_within)
        self._poll_s, self._clock = poll_s, clock
        self._costs: dict[str, Any] = {
            "most_fee": _coins("most_fee", most_fee, _LAMPORTS, PER_SIGNATURE),
            "tip": _coins("tip", tip, _LAMPORTS, 0),
            "resend_s": resend_s,
        }
        self._write = Instructions(deployment)
        self._ids = ClientIds(sleeves)
        self._terms = Markets(deployment)
        self._perps: dict[int, Perp] = {}
        self._orders: dict[str, _Working] = {}
        self._transfers: dict[str, _Working] = {}
        self._asked: dict[str, int] = {}
        """By order or transfer, the chain's height when it was first asked about and not found."""
        self._rates: dict[str, int] = {}
        """By symbol, of which instant the funding rate is that was told last."""
        self._settles: deque[Settled] = deque(maxlen=_MOST_WAITING)
        """The last settlements of nothing that were told: no transaction tells of them, and no coin goes by them."""
        self._settled: dict[str, int] = {}
        """By symbol, how many settlements the chain has told."""
        self._swept = -math.inf
        """When orders past their end were last looked for, by the event loop's clock."""
        self._stack: AsyncExitStack | None = None
        self._parts: _Open | None = None
        self._since = 0
        self._seen: Look | None = None
        """The last look, which says what to ask for at the next."""
        self._n = 0
        self._untold: deque[Event] = deque()
        """What must be told and was not yet, in order."""
        self._opened = 0
        """When it was opened, by its clock: an order of before then may be an earlier process's."""
        self._lost_told = False

    @property
    def authority(self) -> str:
        """Whose sub-accounts these are."""
        return self._authority

    @property
    def delegated(self) -> bool:
        """Whether the key is a delegate's, which moves no coins."""
        return self._key != self._authority

    @property
    def instruments(self) -> tuple[Instrument, ...]:
        """What is traded here: each market in each sub-account. Raises `VenueUnavailable` before the driver was opened."""
        self._check_open()
        return tuple(perp.instrument(sub) for perp in self._perps.values() for sub in self.accounts)

    def instrument(self, market: str, account: int) -> Instrument:
        """A market in a sub-account: `instrument("SOL-PERP", 1)`. Raises `InvalidMarket` for one that is not traded here."""
        self._check_open()
        for perp in self._perps.values():
            if perp.name == market and account in self.accounts:
                return perp.instrument(account)
        raise InvalidMarket(f"{market} in sub-account {account} is not traded at {self.name}")

    def __repr__(self) -> str:
        return f"<Drift {self.name} of {self._authority}, sub-accounts {list(self.accounts)}, {', '.join(self.names)}>"

    # -- opening and closing -------------------------------------------------------------------------------------------------

    async def aopen(self) -> None:
        """Hold the chain against the deployment, read the markets, and begin to watch.

        Raises `VenueUnavailable` where the node does not answer, `WrongAccount` for an account that is not what it should be, and
        `InvalidMarket` for a market that is not there. After any of them nothing was opened, and nothing is traded.
        """
        if self._stack is not None:
            return
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._rpc.aclose)
            if self._jito is not None:
                stack.push_async_callback(self._jito.aclose)
            carrier, past = await self._begin()
            self._opened = self._clock()
            self._since = self._opened - _LONG  # block times are in whole seconds and lag; what was there before is passed over
            await past.news(self._since)
            outbox, inbox = anyio.create_memory_object_stream[Event | VenueUnavailable](_MOST_WAITING)
            stack.callback(inbox.close)
            stack.callback(outbox.close)
            tasks = await stack.enter_async_context(anyio.create_task_group())
            self._parts = _Open(carrier, past, tasks, outbox, inbox)
            if self._quote_every is not None:
                tasks.start_soon(self._again, self._quote_every, self.refresh, name="sleeves drift quotes")
            if self._watch_every is not None:
                tasks.start_soon(self._again, self._watch_every, self._watch, name="sleeves drift watch")
            self._stack = stack.pop_all()

    async def _begin(self) -> tuple[Carrier, Past]:
        """The checks before anything is traded: see `reference 4.3`; each that fails raises."""
        await self._check_chain()
        await self._check_clock()
        seen = await look(self._rpc, self.deployment, self._authority, self.accounts, spots=self._spots)
        self._check_accounts(seen)
        await check_mint(self._rpc, self.deployment, seen.spots[self.deployment.quote.market])
        perps = await perp_markets(self._rpc, self.deployment, range(seen.state.perp_markets))
        wanted = [index for index, one in perps.items() if one.name in self.names]
        everything = await look(self._rpc, self.deployment, self._authority, self.accounts, wanted, spots=self._spots)
        listed: list[SpotMarket | PerpMarket] = [*everything.spots.values(), *{**perps, **everything.perps}.values()]
        for market in listed:
            try:
                self._terms.add(market)
            except InvalidMarket as error:
                if market.name in self.names or market.index == self.deployment.quote.market:
                    raise
                log.info("%s is left out: %s", market.name, error)
        for name in self.names:
            found = next((one for one in self._terms.perps() if one.name == name), None)
            if found is None:
                there = ", ".join(one.name for one in self._terms.perps())
                raise InvalidMarket(f"{self.deployment.name} has no market {name!r}; it has {there}")
            self._perps[found.index] = found
        for sub, user in everything.users.items():
            if self.delegated and user.delegate != self._key:
                raise WrongAccount(f"sub-account {sub} of {self._authority} has the delegate {user.delegate or 'none'}, not {self._key}")
        coins = {index: (market.mint, market.token_2022) for index, market in everything.spots.items()}
        fence = Fence(self.deployment, self._authority, self._key, self.accounts, coins)
        guard = Guard(self._signer.address, programs={address(self.deployment.program_id): fence.rule})
        carrier = Carrier(
            self.deployment, self._rpc, guard, self._signer, jito=self._jito, poll_s=self._poll_s, clock=self._clock, **self._costs
        )
        payers = [self._key] if self.delegated else []
        past = Past(self._rpc, self.deployment, self._authority, self.accounts, self._terms, self._ids, payers=payers)
        if not self._trades:
            log.warning("%s", FROZEN[self.deployment.name])
        return carrier, past

    async def _check_chain(self) -> None:
        """Hold the node's chain against what was declared. Raises `WrongAccount` where it is another, or has no such program."""
        if self._genesis:
            first = await self._rpc.call("getGenesisHash")
            if first != self._genesis:
                raise WrongAccount(f"the node's chain begins with {first!r}, and {self._genesis!r} was asked for: it is another cluster")
        program = await self._rpc.account(address(self.deployment.program_id))
        if program is None:
            raise WrongAccount(
                f"the program {self.deployment.program_id} of {self.deployment.name} is not on this node: is it another cluster?"
            )

    def _check_accounts(self, seen: Look) -> None:
        """Sub-accounts are made in turn: each below the highest must have been made, or be one of ours. Raises `InvalidMarket`, and
        `WrongAccount` where a delegate's authority has no account at all.
        """
        if self.delegated and seen.stats is None:
            raise WrongAccount(f"{self._authority} has no account at {self.name}, so that {self._key} cannot be its delegate")
        made = 0 if seen.stats is None else seen.stats.sub_accounts_created
        missing = [sub for sub in range(made, max(self.accounts)) if sub not in self.accounts]
        if missing:
            there = "none was made yet" if not made else f"those below {made} were made"
            named = ", ".join(map(str, missing))
            raise InvalidMarket(f"sub-accounts are made in turn, and {there}: accounts {list(self.accounts)} lack {named}")

    async def _check_clock(self) -> None:
        """Hold our clock against the chain's. Raises `VenueUnavailable` where one of them is not to be believed."""
        at = await self._rpc.block_time(await self._rpc.slot("finalized"))
        if at is None:
            raise VenueUnavailable(f"{self.name}: the node does not say when its last final block was made, and our clock may be wrong")
        ahead = self._clock() - at
        if abs(ahead) > _APART:
            said = f"{abs(ahead) // _SECOND} s {'ahead of' if ahead > 0 else 'behind'} the node's last final block"
            raise VenueUnavailable(f"{self.name}: our clock is {said}: it is wrong, or the node stands still")

    async def aclose(self) -> None:
        """Stop watching and following. What may still land may still land: `history` tells."""
        stack, self._stack = self._stack, None
        if stack is None:
            return
        self._at.tasks.cancel_scope.cancel()
        await stack.aclose()

    async def __aenter__(self) -> Drift:
        await self.aopen()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        await self.aclose()

    def _check_open(self) -> None:
        if self._stack is None:
            raise VenueUnavailable(f"{self.name} is not open: async with it, or await its aopen()")

    @property
    def _at(self) -> _Open:
        """What it has while it is open, and what is still under way has while it closes."""
        if self._parts is None:
            raise VenueUnavailable(f"{self.name} is not open: async with it, or await its aopen()")
        return self._parts

    async def look(self, *, min_slot: int | None = None) -> Look:
        """State, sub-accounts, markets and oracles as of one slot, which is never one of before the last look.

        Raises `VenueUnavailable`, also for what is not what it should be.
        """
        least = max(min_slot or 0, 0 if self._seen is None else self._seen.slot)
        try:
            self._seen = await look(
                self._rpc,
                self.deployment,
                self._authority,
                self.accounts,
                self._perps,
                spots=self._spots,
                known=self._seen,
                min_slot=least or None,
            )
        except WrongAccount as error:
            raise VenueUnavailable(f"{self.name}: {error}") from error
        return self._seen

    # -- the feed ------------------------------------------------------------------------------------------------------------

    async def events(self) -> AsyncIterator[Event]:
        """Prices, funding rates, and what became of orders and coins. Raises `VenueUnavailable` when the chain does not answer."""
        self._check_open()
        self._lost_told = False
        while True:
            try:
                event = await self._at.inbox.receive()
            except (anyio.EndOfStream, anyio.ClosedResourceError):
                return
            if isinstance(event, VenueUnavailable):
                raise VenueUnavailable(str(event))
            yield event

    async def _again(self, every: float, do: Callable[[], Any]) -> None:
        while True:
            try:
                await do()
            except SleevesError as error:
                log.warning("%s: no look: %s", self.name, error)
                self._lost(str(error))
            except Exception as error:
                log.exception("%s: a look came to what nobody foresaw", self.name)
                self._lost(f"{self.name}: {type(error).__name__}, which nobody foresaw")
            await anyio.sleep(every)

    def _lost(self, why: str) -> None:
        """Say once that the chain does not answer as it should; `events` is then asked anew."""
        if not self._lost_told:
            self._lost_told = True
            self._tell_if_room(VenueUnavailable(why))

    async def refresh(self) -> None:
        """Tell each market's price once for each sub-account, and a funding rate that is new.

        A market whose oracle is too old or too unsure is left out this time. Raises `VenueUnavailable`.
        """
        self._check_open()
        seen = await self.look()
        at = self._clock()
        for index, perp in self._perps.items():
            market = seen.perps[index]
            try:
                price = price_of(seen, market)
                why = doubt_of(price, at)
            except VenueError as error:
                why = str(error)
            if why:
                log.warning("%s has no quote: %s", perp.name, why)
                continue
            for sub in self.accounts:
                self._tell_if_room(quote_of(perp.instrument(sub), price, self._spread, at))
            self._tell_rate(perp, market)

    def _tell_rate(self, perp: Perp, market: PerpMarket) -> None:
        """A market's funding rate, where it is new and known."""
        for sub in self.accounts:
            try:
                rate = rate_of(perp.instrument(sub), market)
            except InvalidMarket as error:
                log.warning("%s has no funding rate: %s", perp.name, error)
                return
            if rate is not None and self._rates.get(rate.instrument.symbol) != rate.at:
                self._rates[rate.instrument.symbol] = rate.at
                self._tell_if_room(rate)

    async def hear(self) -> None:
        """Read on to the chain's confirmed end, and tell what happened since, each thing once. Raises `VenueUnavailable`."""
        self._check_open()
        async with self._at.hearing:
            events = await self._at.past.news(self._since)  # it tells them once: from here on none may be lost
            for event in events:
                if isinstance(event, Settled):
                    self._settled[event.instrument.symbol] = self._settled.get(event.instrument.symbol, 0) + 1
            await self._tell(*events)

    async def caught_up(self) -> None:
        """Return once all that the chain has confirmed by now is in `events`."""
        await self.hear()

    async def _watch(self) -> None:
        await self.hear()
        if anyio.current_time() >= self._swept + _GRACE_S:
            self._swept = anyio.current_time()
            await self.sweep()

    def _tell_if_room(self, event: Event | VenueUnavailable) -> None:
        """Prices may be skipped: they leave room for what may not."""
        if self._at.outbox.statistics().current_buffer_used < _MOST_WAITING // 2:
            self._at.outbox.send_nowait(event)

    async def _tell(self, *events: Event) -> None:
        """Tell what may not be lost. Whoever is canceled meanwhile leaves what was not told yet, and the next who tells goes on with it."""
        self._untold.extend(events)
        while self._untold:
            try:
                self._at.outbox.send_nowait(self._untold[0])
            except anyio.WouldBlock:
                await anyio.sleep(_ROOM_S)
            else:
                self._untold.popleft()

    # -- orders --------------------------------------------------------------------------------------------------------------

    async def submit(self, order: Order) -> None:
        """Place an order. Returns when the chain has it, or has decided that it never will; what becomes of it is told as events.

        Raises `VenueUnavailable` when nothing was sent, and `VenueUnknown` when it was and is not decided in time: it is followed
        on, and told when it is.
        """
        self._check_open()
        if order.id in self._orders:
            return
        working = self._orders[order.id] = _Working(order.id)
        until = anyio.current_time() + self._confirm_within
        try:
            found = self._market_of(order)
            if isinstance(found, str):
                await self._reject(working, order, found, reached=False)
            else:
                await self._place(working, order, *found, until)
        except BaseException:
            if working.report is None and not working.signature:
                del self._orders[order.id]  # nothing of it was sent
            raise
        await self._await(working, until, f"{order.id} was sent as {working.signature} and is not decided yet")

    def _market_of(self, order: Order) -> tuple[Perp, int] | str:
        """The market and the sub-account of an order, or why it is not even looked at."""
        instrument = order.place.instrument
        if not self._trades:
            return FROZEN[self.deployment.name]
        try:
            perp, sub = self._terms.perp_of(instrument)
            self._ids.hex(order.id)
        except (InvalidMarket, VenueRejected) as error:
            return str(error)
        if perp.index not in self._perps or sub not in self.accounts:
            return f"{instrument} is not traded here"
        return perp, sub

    async def _place(self, working: _Working, order: Order, perp: Perp, sub: int, until: float) -> None:
        """Look, write, run and sign; then have it sent and followed."""
        instrument = perp.instrument(sub)
        prepared = None
        with anyio.move_on_after(max(0.0, until - anyio.current_time())):
            async with self._at.turn:
                if (why := await self._was_placed(order)) is not None:
                    if why:
                        await self._reject(working, order, why)
                    working.decided.set()
                    return
                with _known(order.id):
                    load = await self._order_load(working, order, instrument, perp, sub)
                if isinstance(load, str):
                    await self._reject(working, order, load)
                    return
                try:
                    prepared = await self._at.carrier.prepare(order.id, load)
                except AlreadyLanded as error:
                    raise VenueUnknown(str(error)) from None
                except (VenueRejected, InvalidMarket) as error:
                    await self._reject(working, order, str(error))
                    return
        if prepared is None:
            raise VenueUnavailable(f"{order.id}: not signed within {self._confirm_within:g} s; nothing was sent")
        self._start(working, prepared, self._order_done, order)

    async def _was_placed(self, order: Order) -> str | None:
        """None: no order of this id is on the chain, as far back as it was read. Else it is not sent: nothing where it is this very
        order, and why it is refused where it is another one, of another time, which had the same id.
        """
        if order.at <= self._opened:
            await self.hear()
        seen = await self._at.past.order(order.id, order.at)
        if seen is None:
            return None
        if seen.made == in_ms(order.at):
            log.warning("%s was sent before, by %s: it is not sent again", order.id, seen.signature)
            return ""
        times = f"{seen.signature} is of {_utc(seen.made)} and this order of {_utc(order.at)}"
        return (
            f"the id {order.id} is on the chain for another order: {times}; with fresh books on a used wallet, name the sleeves otherwise"
        )

    async def _seen_of(self, order: Order) -> Seen | None:
        """What the chain says of this very order, and of none that had its id in other books."""
        seen = await self._at.past.order(order.id, order.at)
        return seen if seen is not None and seen.made == in_ms(order.at) else None

    async def _order_load(self, working: _Working, order: Order, instrument: Instrument, perp: Perp, sub: int) -> Load | str:
        """The transaction of an order, or why it is refused."""
        seen, now = await self.look(), self._clock()
        user = seen.users.get(sub)
        if user is None:
            return f"sub-account {sub} does not exist yet: move coins to it first"
        market = seen.perps[perp.index]
        why = refusal(order, instrument, market, user, now)
        if why:
            return why
        price = price_of(seen, market)
        if doubt := doubt_of(price, now):
            return f"{doubt}: nothing is ordered by it"
        params = order_params(order, instrument, market, seen.state, price.price, self._ask, now)
        if isinstance(params, str):
            return params
        working.ends = params.expires
        note = order_note(self._ids, order.id, order.place.qty, order.at, instrument.symbol)
        write = self._write.place_perp_order(self._authority, sub, params, markets=seen.markets, user=user, signer=self._signs_for)
        return Load([*refreshed(seen, self._write, [one.market for one in user.spots]), write], note)

    @property
    def _signs_for(self) -> str | None:
        """Who signs for the authority, where it does not itself."""
        return self._key if self.delegated else None

    async def _order_done(self, working: _Working, prepared: Prepared, outcome: Landed | Expired, order: Order) -> None:
        """What the chain decided of an order's transaction."""
        if isinstance(outcome, Expired):
            await self._reject(working, order, f"{outcome.signature} expired and never landed", reached=False)
        elif outcome.err is not None:
            await self._reject(working, order, f"it landed and failed: {self._at.carrier.why_failed(prepared, outcome.err)}")
        else:
            done = await self._heard(outcome)
            if await self._seen_of(order) is not None:
                return
            if any(isinstance(one, OrderPlaced) for one in done.record.events):
                said = "placed it, and the past tells it as not ours: other books had that id on this wallet"
                log.critical("%s: %s %s", order.id, outcome.signature, said)
                return
            why = "it passed over it"
            at = None if working.ends is None else await self._rpc.block_time(outcome.slot)
            if working.ends is not None and at is not None and working.ends < at // _SECOND:
                why = f"its end, {_utc(working.ends * _SECOND)}, lay behind the chain's clock, {_utc(at)}"
            await self._reject(working, order, f"{outcome.signature} landed, and the program placed no order: {why}")

    async def _reject(self, working: _Working, order: Order, why: str, *, reached: bool = True) -> None:
        """An order of which nothing was done."""
        at = max(self._clock(), order.at)
        working.report = OrderReport(order.id, at, OrderStatus.REJECTED, 0, why, working.signature)
        log.info("%s: rejected: %s", order.id, why)
        await self._tell(Rejected(order.id, at, why, reached))

    async def cancel(self, order: Order) -> None:
        """Take what is left of an order off the exchange. One that is not placed, or not ours, or done, is passed over.

        Raises `VenueUnavailable` when nothing was done, also while it is not known yet whether the order was placed;
        `VenueUnknown` when a cancel was sent and is not decided in time.
        """
        self._check_open()
        until = anyio.current_time() + self._confirm_within
        working = self._orders.get(order.id)
        if working is not None and working.report is None and not working.decided.is_set():
            with anyio.move_on_after(self._confirm_within):
                await working.decided.wait()
            if not working.decided.is_set():
                raise VenueUnavailable(f"{order.id} is not known to be placed yet, so that nothing was canceled")
        await self.hear()
        seen = await self._seen_of(order)
        if seen is None or seen.status.done:
            return
        await self._take_off(f"cancel {order.id}", seen.sub, seen.number, cancel_note(self._ids, order.id, self._clock()), until)

    async def _take_off(self, name: str, sub: int, number: int, note: str, until: float) -> None:
        """Cancel an order by the program's number of it."""
        working = _Working(name)
        async with self._at.turn:
            found = await self.look()
            user = found.user(sub)
            if lying(user, number) is None:
                return
            write = self._write.cancel_order(self._authority, sub, number, markets=found.markets, user=user, signer=self._signs_for)
            try:
                prepared = await self._at.carrier.prepare("", Load([write], note))
            except (VenueRejected, InvalidMarket) as error:
                raise VenueUnavailable(f"{name} was not taken: {error}") from None
        self._start(working, prepared, self._plain_done, None)
        await self._await(working, until, f"{name} was sent as {working.signature} and is not decided yet")

    async def _plain_done(self, working: _Working, prepared: Prepared, outcome: Landed | Expired, _: None) -> None:
        """What the chain decided of a transaction that is told by what it did."""
        if isinstance(outcome, Expired):
            working.error = VenueUnavailable(f"{working.name}: {outcome.signature} expired and never landed")
        elif outcome.err is not None:
            why = self._at.carrier.why_failed(prepared, outcome.err)
            working.error = VenueUnavailable(f"{working.name}: {outcome.signature} landed and failed: {why}")
        else:
            working.landed = True
            await self._heard(outcome)

    async def settle(self, instrument: Instrument) -> None:
        """Have a contract's profit or loss moved to the quote coin, where it is above `settle_above`.

        `Settled` comes from the chain, or of 0 where there is no more than that, or the program has nothing to pay it from. Raises like
        `submit`, and `VenueRejected` for what is not traded here.
        """
        self._check_open()
        try:
            perp, sub = self._terms.perp_of(instrument)
        except InvalidMarket as error:
            raise VenueRejected(str(error)) from None
        if perp.index not in self._perps or sub not in self.accounts:
            raise VenueRejected(f"{instrument} is not traded at {self.name}")
        until = anyio.current_time() + self._confirm_within
        working = _Working(f"settle {instrument}")
        await self.hear()
        before = self._settled.get(instrument.symbol, 0)
        with _known(working.name):
            prepared = await self._prepare_settle(perp, sub, instrument)
        if prepared is None:
            await self._settled_nothing(instrument)
            return
        self._start(working, prepared, self._plain_done, None)
        await self._await(working, until, f"{working.name} was sent as {working.signature} and is not decided yet")
        if self._settled.get(instrument.symbol, 0) == before:
            await self._settled_nothing(instrument)

    async def _prepare_settle(self, perp: Perp, sub: int, instrument: Instrument) -> Prepared | None:
        """A settlement that is signed; None where there is nothing to settle, or the program would settle nothing."""
        async with self._at.turn:
            seen = await self.look()
            user = seen.users.get(sub)
            held = None if user is None else next((one for one in user.perps if one.market == perp.index), None)
            if user is None or held is None:
                return None
            market = seen.perps[perp.index]
            made = settleable(seen, market, held, account_of(seen, user).contract(contract_name(market)))
            if not made or abs(made) <= self._settle_above:
                return None
            if not self._trades:
                raise VenueRejected(FROZEN[self.deployment.name])
            write = self._write.settle_pnl(self._authority, sub, perp.index, markets=seen.markets, user=user, signer=self._signs_for)
            try:
                fresh = refreshed(seen, self._write, [one.market for one in user.spots])
                return await self._at.carrier.prepare("", Load([*fresh, write], settle_note(instrument.symbol, self._clock())))
            except (VenueRejected, InvalidMarket) as error:
                log.warning("%s is not settled now: %s", instrument, error)
                return None

    async def _settled_nothing(self, instrument: Instrument) -> None:
        self._n += 1
        now = self._clock()
        said = Settled(now, instrument, 0, f"asked {now} {self._n}", self.name)
        self._settles.append(said)
        await self._tell(said)

    async def sweep(self) -> None:
        """Take off orders of ours at market that are past their end and that no keeper took off. Raises `VenueUnavailable`."""
        if not self._trades:
            return
        seen, now = await self.look(), self._clock() // _SECOND
        late = {sub: user for sub, user in seen.users.items() if any(one.expires and one.expires + _GRACE_S < now for one in user.orders)}
        await self._at.past.refresh(min_slot=seen.slot)
        await self._at.past.know(late)
        for sub, user in late.items():
            for one in user.orders:
                name = self._at.past.name_of(sub, one.id)
                if one.kind is OrderKind.MARKET and one.expires and one.expires + _GRACE_S < now and self._is_ours(name):
                    until = anyio.current_time() + self._confirm_within
                    await self._take_off(f"expiry {name}", sub, one.id, cancel_note(self._ids, name, self._clock()), until)

    def _is_ours(self, name: str) -> bool:
        """Whether an order's name is an id of ours, and not what the past calls an order of somebody else's."""
        try:
            return bool(self._ids.hex(name))
        except VenueRejected:
            return False

    # -- one transaction's end -------------------------------------------------------------------------------------------------

    def _start(self, working: _Working, prepared: Prepared, done: Callable[..., Any], about: Any) -> None:
        """Have a signed transaction sent and followed, and what it came to told."""
        working.signature = prepared.signature
        self._at.tasks.start_soon(self._follow, working, prepared, done, about, name=f"sleeves drift {working.name}")

    async def _follow(self, working: _Working, prepared: Prepared, done: Callable[..., Any], about: Any) -> None:
        """Until the chain has decided; then tell. Whatever goes wrong on the way, it is asked again: what was sent is not forgotten."""
        try:
            try:
                outcome = await self._at.carrier.follow(prepared)
            except ProgramSaidNo as error:
                await self._refused(working, str(error), about)
                return
            except VenueUnavailable as error:
                working.error = VenueUnavailable(f"{working.name}: {error}; nothing was sent")
                self._forget(working)
                return
            except VenueRejected as error:
                await self._refused(working, str(error), about)
                return
            while True:
                try:
                    await done(working, prepared, outcome, about)
                except VenueError as error:
                    log.warning("%s has landed and is not told yet: %s", working.name, error)
                except Exception:
                    log.exception("%s has landed and cannot be told yet", working.name)
                else:
                    return
                await anyio.sleep(self._poll_s)
        finally:
            working.decided.set()
            if working.holds is not None:
                working.holds.release()

    async def _refused(self, working: _Working, why: str, about: Any) -> None:
        """The node's own try before the sending failed: nothing was sent."""
        if isinstance(about, Order):
            await self._reject(working, about, why)
        elif isinstance(about, Transfer):
            await self._refuse(about, why)
        else:
            working.error = VenueUnavailable(f"{working.name} was not taken: {why}")

    def _forget(self, working: _Working) -> None:
        """Nothing of it was sent: it may be asked for again."""
        for kept in (self._orders, self._transfers):
            if kept.get(working.name) is working:
                del kept[working.name]

    async def _await(self, working: _Working, until: float, unsure: str) -> None:
        """Wait for what a transaction comes to. Raises what it came to, and `VenueUnknown` where it is not decided by then."""
        if not working.signature:
            return
        with anyio.move_on_after(max(0.0, until - anyio.current_time())):
            await working.decided.wait()
        if not working.decided.is_set():
            raise VenueUnknown(unsure)
        if working.error is not None:
            raise working.error

    async def _heard(self, outcome: Landed) -> Done:
        """Tell all that the chain has up to what landed, and say what that did.

        Raises `VenueUnavailable` while the node does not list it: a block is there before the lists of its transactions are, and what
        is not listed yet may well have been done.
        """
        await self._at.past.refresh(min_slot=outcome.slot)
        await self.hear()
        done = self._at.past.done(str(outcome.signature))
        if done is None:
            raise VenueUnavailable(f"{outcome.signature} landed in slot {outcome.slot}, and the node does not list it yet")
        return done

    # -- coins ---------------------------------------------------------------------------------------------------------------

    async def transfer(self, transfer: Transfer) -> None:
        """Move coins: from the wallet into sub-account 0, out of it, or between two sub-accounts.

        Raises `VenueUnavailable` when nothing was sent, and `VenueUnknown` when it was and is not decided in time: it is followed
        on, and `Transferred`, `Shifted` or `TransferRefused` is told when it is.
        """
        self._check_open()
        if transfer.id in self._transfers:
            return
        working = self._transfers[transfer.id] = _Working(transfer.id)
        until = anyio.current_time() + self._confirm_within
        prepared: Prepared | None = None
        try:
            with anyio.move_on_after(max(0.0, until - anyio.current_time())):
                await self._at.moving.acquire()
                working.holds = self._at.moving
                async with self._at.turn:
                    prepared = await self._prepare_transfer(transfer)
                if prepared is None:
                    return
            if prepared is None:
                raise VenueUnavailable(f"{transfer.id}: not signed within {self._confirm_within:g} s; nothing was sent")
            self._start(working, prepared, self._transfer_done, transfer)
        except BaseException:
            if not working.signature:
                del self._transfers[transfer.id]
            raise
        finally:
            if working.holds is not None and not working.signature:
                working.holds.release()
                working.decided.set()
        with anyio.move_on_after(min(_FIRST_WAIT_S, max(0.0, until - anyio.current_time()))):
            await working.decided.wait()
        if not working.decided.is_set():
            log.warning("%s, %s, is not confirmed yet; it is polled on", transfer.id, working.signature)
        await self._await(working, until, f"{transfer.id} was sent as {working.signature} and is not decided yet")

    async def _prepare_transfer(self, transfer: Transfer) -> Prepared | None:
        """A transfer that is signed; None where it was refused, which is told, or was sent before, by another driver of this wallet."""
        with _known(transfer.id):
            if await self._was_moved(transfer):
                return None
            load = await self._transfer_load(transfer)
        if isinstance(load, str):
            await self._refuse(transfer, load)
            return None
        try:
            return await self._at.carrier.prepare(f"transfer {transfer.id}", load)
        except AlreadyLanded as error:
            raise VenueUnknown(str(error)) from None
        except (VenueRejected, InvalidMarket) as error:
            await self._refuse(transfer, str(error))
            return None

    async def _was_moved(self, transfer: Transfer) -> bool:
        """Whether a transfer of this id is on the chain already: it is not sent again.

        Raises `VenueUnknown` for one of long before: a transfer has no time of its own, so that nobody here can tell whether it is the
        same one asked for again or another, of fresh books on a used wallet. Nothing of it is sent then either.
        """
        await self.hear()
        found = await self._at.past.transfer(transfer.id, self._opened)
        if not isinstance(found, (Transferred, Shifted)):
            return False
        said = f"the id {transfer.id} is on the chain already, for {found.amount} at {_utc(found.at)}"
        if found.at < self._since:
            raise VenueUnknown(f"{said}: nothing was sent; with fresh books on a used wallet, name the vault's wallet otherwise")
        log.warning("%s: it is not sent again", said)
        return True

    async def rehearse(self, transfer: Transfer) -> None:
        """Nothing, where a transfer would be taken now. Raises `VenueRejected` where not, `VenueUnavailable` where that is not known."""
        self._check_open()
        with _known(transfer.id):
            load = await self._transfer_load(transfer)
        if isinstance(load, str):
            raise VenueRejected(load)
        try:
            await self._at.carrier.rehearse(load)
        except InvalidMarket as error:
            raise VenueRejected(str(error)) from None

    async def _transfer_load(self, transfer: Transfer) -> Load | str:
        """The transaction of a transfer, or why it is refused."""
        if not self._trades:
            return FROZEN[self.deployment.name]
        if self.delegated:
            return f"{self._key} is a delegate of {self._authority}, and a delegate moves no coins"
        try:
            note = transfer_note(transfer.id, self._clock())
        except VenueRejected as error:
            return str(error)
        seen = await self.look()
        plan = plan_of(transfer, seen, self._terms)
        if isinstance(plan, str):
            return plan
        wallet = await self._wallet(plan) if plan.source is None else None

        def health_of(user: User) -> int | None:
            account = account_of(seen, user)
            return health_bp(account) if account.contracts else None

        source = None if plan.source is None else seen.users.get(plan.source)
        if source is not None and any(one.base for one in source.perps):
            coins = {self.deployment.quote.market, *(one.market for one in source.spots)}
            counted: list[SpotMarket | PerpMarket] = [
                *(seen.spots[index] for index in sorted(coins)),
                *(seen.perps[one.market] for one in source.perps),
            ]
            for market in counted:
                if doubt := doubt_of(price_of(seen, market), self._clock()):
                    return f"{doubt}, so that health is not known"
        why = refusal_of(plan, seen, wallet, self._least_health, health_of, frozenset(self.accounts))
        return why or load_of(plan, seen, self._write, self._authority, note, await self._rents(plan, seen))

    async def _wallet(self, plan: Plan) -> int | None:
        """What the authority's own token account has of a coin; None where there is none."""
        program = TOKEN_2022 if plan.market.token_2022 else TOKEN
        account = await self._rpc.account(ata(address(self._authority), address(plan.market.mint), program))
        found = TokenAccount.find(account)
        return None if found is None else found.amount

    async def _rents(self, plan: Plan, seen: Look) -> tuple[int, int]:
        """Lamports for a sub-account and for the statistics, where any is to be created."""
        users, stats = needs_of(plan, seen)
        one = await self._rpc.rent(self.deployment.layout("User").size) if users else 0
        return one, await self._rpc.rent(self.deployment.layout("UserStats").size) if stats else 0

    async def _transfer_done(self, working: _Working, prepared: Prepared, outcome: Landed | Expired, transfer: Transfer) -> None:
        """What the chain decided of a transfer."""
        if isinstance(outcome, Expired):
            await self._refuse(transfer, f"{outcome.signature} expired and never landed")
        elif outcome.err is not None:
            await self._refuse(transfer, f"it landed and failed: {self._at.carrier.why_failed(prepared, outcome.err)}")
        else:
            working.landed = True
            done = await self._heard(outcome)
            if not any(isinstance(fact, (Transferred, Shifted)) for fact in done.facts):
                working.landed = False
                await self._refuse(transfer, f"{outcome.signature} landed and moved nothing: the program cut it down to what could leave")

    async def _refuse(self, transfer: Transfer, why: str) -> None:
        log.warning("%s of %s is refused: %s", transfer.id, transfer.amount, why)
        await self._tell(TransferRefused(self._clock(), transfer.id, why))

    async def never_landed(self, transfer: Transfer, since: int) -> bool:
        """Whether it is certain that a transfer that was asked for at `since` (UTC ns) did not happen and no longer can.

        False says nothing. Raises `VenueUnavailable`.
        """
        self._check_open()
        working = self._transfers.get(transfer.id)
        if working is not None and not working.decided.is_set():
            return False
        if working is not None and working.landed:
            return False

        def is_it(note: object) -> bool:
            return isinstance(note, TransferNote) and note.id == transfer.id

        return await self._is_absent(transfer.id, since, is_it) is not None

    async def _is_absent(self, name: str, since: int, is_it: Callable[[object], bool]) -> int | None:
        """The chain's time up to which no transaction of our key bears such a note and none can any more; None while that is not certain.

        Certain it is when blocks that are final are ten minutes past the time, and two lifetimes of a blockhash past the height at which
        this process asked first; and when a node which is no less far along lists our key's transactions from long before on, with none
        of that note. Silence of a node is no evidence.
        """
        asked = self._asked.get(name)
        if asked is None:
            self._asked[name] = await self._rpc.block_height("processed")
            return None
        final = await self._rpc.epoch_info("finalized")
        if final.block_height <= asked + GOOD_FOR + UNSEEN:
            return None
        at, first = await self._rpc.block_time(final.slot), await self._rpc.block_time(await self._rpc.first_block())
        if at is None or first is None or at < since + _LONG or first > since - _FAR_BACK:
            return None
        for one in await self._rpc.signatures_for(self._signer.address, since=since - _FAR_BACK, min_slot=final.slot):
            chained = await self._rpc.transaction(one.signature)
            if chained is None:
                return None
            if chained.err is None and chained.decoded.payer == self._signer.address and is_it(told_by(self._ids, chained.memos)):
                return None
        return at

    # -- what is there ---------------------------------------------------------------------------------------------------------

    async def look_up(self, order: Order) -> OrderReport | None:
        """What became of an order: as this process knows it, else as the chain tells by its memo; None where neither knows.

        One that an earlier process may have sent is rejected only by the chain's own word that it is nowhere and can land no more.
        """
        self._check_open()
        working = self._orders.get(order.id)
        if working is not None and working.report is not None:
            return working.report
        if working is not None and not working.decided.is_set():
            return None
        await self.hear()
        seen = await self._seen_of(order)
        if seen is not None:
            return OrderReport(order.id, seen.at, seen.status, seen.filled, seen.reason, f"{seen.sub}/{seen.number}")

        def is_it(note: object) -> bool:
            return isinstance(note, OrderNote) and note.order_id == order.id

        at = await self._is_absent(order.id, order.at, is_it)
        if at is None or order.id in self._orders:
            return None
        return OrderReport(order.id, max(at, order.at), OrderStatus.REJECTED, 0, "it is not in the final chain, and can land no more", "")

    async def open_orders(self) -> Sequence[OrderReport]:
        """Every order that lies in the sub-accounts, whoever placed it: ours by their own ids, others as the past names them."""
        self._check_open()
        await self.hear()
        seen, at = await self.look(), self._clock()
        await self._at.past.refresh(min_slot=seen.slot)
        await self._at.past.know(seen.users)
        return [
            open_report(self._at.past.name_of(sub, one.id), sub, one, at) for sub, user in sorted(seen.users.items()) for one in user.orders
        ]

    async def holdings(self) -> Mapping[int, Mapping[str, Amount]]:
        """Coins by sub-account and asset code, what is borrowed below zero; without interest that no transaction of ours told of yet.

        Raises `VenueUnavailable`, also where the accounts and what was told of them do not agree.
        """
        self._check_open()
        for _ in range(3):
            seen = await self.look()
            await self._at.past.refresh(min_slot=seen.slot)
            try:
                return await self._at.past.holdings(seen.users, seen.spots)
            except VenueUnavailable as error:
                last = error
        raise last

    async def balances(self) -> Mapping[str, Amount]:
        """All coins of all sub-accounts together, by asset code."""
        quote = self.deployment.quote.asset
        sums: dict[str, Amount] = {quote.code: quote.zero}
        for coins in (await self.holdings()).values():
            for code, amount in coins.items():
                sums[code] = sums[code] + amount if code in sums else amount
        return sums

    async def positions(self) -> Mapping[str, Position]:
        """Contracts by symbol, in every sub-account and market that has any."""
        self._check_open()
        seen = await self.look()
        try:
            return positions(seen, self._terms)
        except InvalidMarket as error:
            raise VenueUnavailable(f"{self.name}: {error}") from error

    async def history(self, since: int) -> Sequence[Any]:
        """All facts of the sub-accounts from an instant on, oldest first, whoever caused them."""
        self._check_open()
        await self._at.past.refresh()
        facts = [*await self._at.past.history(since), *(one for one in self._settles if one.at >= since)]
        return sorted(facts, key=lambda fact: fact.at)

    async def cash_flows(self, since: int) -> Sequence[CashFlow]:
        """The lines of the sub-accounts' coins from an instant on, each under its sub-account."""
        self._check_open()
        await self._at.past.refresh()
        return await self._at.past.cash_flows(since)
