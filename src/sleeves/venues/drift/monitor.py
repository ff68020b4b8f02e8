"""Watching an authority's sub-accounts: what they hold, what they are worth, how far they are from a liquidation, and since when.

    async with Monitor("https://node.example", VELOCITY, authority, accounts=(0, 1), pubsub="wss://node.example") as monitor:
        async for seen in monitor:
            print(seen)

Every `poll` seconds all accounts are read anew, in one question and so of one slot: that is the truth. Between two polls the node's
WebSocket may tell of changes; a push that is older than what is known is dropped, and wherever pushes may be missing (a new
connection, a queue that ran over) all is read again at once. A reading that could not be made is told as `Blind`, and never as
the last one again. A sub-account that is not there, and one whose figures cannot be worked out, says so in `SubAccount.wrong`; an
account of another owner, length or address raises.

It needs no key and sends nothing. What the figures mean is `risk`'s.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from enum import StrEnum
from fractions import Fraction
from types import TracebackType

import anyio
from anyio.abc import TaskGroup
from attrs import field, frozen
from solders.pubkey import Pubkey

from ...errors import InvalidMarket, VenueError, VenueRejected, VenueUnavailable
from ...funding_quotes import FundingQuote
from ...keys import Secret
from ...money import decimal_text
from ..solana import Account, Changed, Gap, Pubsub, Rpc
from ..solana.written import address
from .accounts import (
    PerpMarket,
    SpotMarket,
    State,
    User,
    UserStats,
    WrongAccount,
    read_perp_market,
    read_spot_market,
    read_state,
    read_user,
    read_user_stats,
)
from .deployment import Deployment
from .oracles import Oracle, read_oracle
from .risk import Figures, Price, figures_of, funding_quotes, price_of
from .words import OracleSource

__all__ = ["Blind", "Monitor", "Snapshot", "Source", "SubAccount"]

log = logging.getLogger("sleeves.venues.drift")
log.addHandler(logging.NullHandler())

_SECOND = 1_000_000_000
_MOST_LOOKS = 6


class Source(StrEnum):
    """Where a snapshot's newest part is from."""

    POLL = "poll"
    """All was read in one go."""
    PUSH = "push"
    """The last poll, with accounts that were pushed since in the place of theirs."""


@frozen(order=False)
class SubAccount:
    """One sub-account: its account and its figures. `user` None: it is not there. `figures` None: `wrong` says why there are none."""

    sub: int
    address: str
    user: User | None = field(repr=False)
    figures: Figures | None
    wrong: str


@frozen(order=False)
class Blind:
    """A reading that could not be made: what the accounts hold at `at` (ns) is not known. `since` is when it last was, None for never."""

    at: int
    why: str
    since: int | None

    def __str__(self) -> str:
        since = "never" if self.since is None else f"{(self.at - self.since) // _SECOND} s ago"
        return f"not known: {self.why}; last known {since}"


@frozen(order=False)
class Snapshot:
    """What was seen of an authority's accounts. `at` is the clock's (ns), `slot` the newest of what is in it, `oldest` the oldest.

    `accounts` are the sub-accounts that were asked for, in that order. `spots` and `perps` are the markets that they stand in or that
    are watched besides, by index; `prices` those of their oracles, and `errors` says of which market the price or
    the funding is not known. `funding` is what the perp markets paid for their last period, as ratios of the oracle's average.
    """

    deployment: Deployment = field(repr=lambda one: one.name)
    authority: str
    at: int
    slot: int
    oldest: int
    source: Source
    state: State = field(repr=False)
    stats: UserStats | None = field(repr=False)
    accounts: tuple[SubAccount, ...]
    spots: Mapping[int, SpotMarket] = field(repr=lambda one: f"{sorted(one)}")
    perps: Mapping[int, PerpMarket] = field(repr=lambda one: f"{sorted(one)}")
    prices: tuple[Price, ...] = field(repr=False)
    errors: tuple[str, ...] = field(repr=False)
    funding: tuple[FundingQuote, ...] = field(repr=False)

    @property
    def one_slot(self) -> bool:
        """Whether all of it is of one slot, so that its parts fit together."""
        return self.slot == self.oldest

    def account(self, sub: int) -> SubAccount:
        """One sub-account. Raises `InvalidMarket` for one that was not asked for."""
        for one in self.accounts:
            if one.sub == sub:
                return one
        raise InvalidMarket(f"sub-account {sub} is not watched: {', '.join(str(one.sub) for one in self.accounts)} are")

    def __str__(self) -> str:
        return "\n".join(_table(self))


class _Sight:
    """Accounts as they are known, as `risk.Seen`. Made anew for each snapshot; reading it checks every account."""

    def __init__(self, deployment: Deployment, authority: str, subs: tuple[int, ...], raw: Mapping[str, Account | None]) -> None:
        self.deployment = deployment
        self._raw = raw
        state = raw.get(deployment.state())
        if state is None:
            raise WrongAccount(f"there is no State of {deployment.name} at {deployment.state()}")
        self.state = read_state(deployment, *_told(state))
        stats = raw.get(deployment.user_stats(authority))
        self.stats = None if stats is None else read_user_stats(deployment, *_told(stats))
        found = ((sub, raw.get(deployment.user(authority, sub))) for sub in subs)
        self.users = {sub: None if one is None else read_user(deployment, *_told(one)) for sub, one in found}
        self.spots: dict[int, SpotMarket] = {}
        self.perps: dict[int, PerpMarket] = {}
        self.slot = max(one.slot for one in raw.values() if one is not None)

    def stands_in(self) -> tuple[set[int], set[int]]:
        """The spot and the perp markets that the sub-accounts stand in."""
        users = [one for one in self.users.values() if one is not None]
        return {one.market for user in users for one in user.spots}, {one.market for user in users for one in user.perps}

    def read_markets(self, spots: Iterable[int], perps: Iterable[int]) -> None:
        """Take these markets from what was read. Raises `WrongAccount` for one that is not there."""
        for index in sorted(spots):
            account = self._raw.get(self.deployment.spot_market(index))
            if account is None:
                raise WrongAccount(f"there is no spot market {index} of {self.deployment.name}")
            self.spots[index] = read_spot_market(self.deployment, *_told(account))
        for index in sorted(perps):
            account = self._raw.get(self.deployment.perp_market(index))
            if account is None:
                raise WrongAccount(f"there is no perp market {index} of {self.deployment.name}")
            self.perps[index] = read_perp_market(self.deployment, *_told(account))

    def oracle(self, market: PerpMarket | SpotMarket) -> Oracle:
        if market.oracle_source is OracleSource.QUOTE_ASSET:
            return read_oracle(self.deployment, market.oracle_source, "", b"", self.slot)
        account = self._raw.get(market.oracle)
        if account is None:
            raise WrongAccount(f"the oracle {market.oracle} of {market.name} is not there")
        return read_oracle(self.deployment, market.oracle_source, str(account.owner), account.data, self.slot)


class Monitor:
    """Looks at sub-accounts of an authority, again and again: `async with` opens it, `async for` gives a `Snapshot` or a `Blind` each time.

    `rpc` is a node, or its address; one that was handed in is left open. `pubsub` is its WebSocket, likewise; without it there are
    polls alone. `accounts` are numbers of sub-accounts, `perps` markets to watch whether or not anything is held there. `poll` is in
    seconds; pushes that come within `settle` seconds are told as one. Opening asks nothing.

    Raises `InvalidMarket` for an authority that is no address, for no sub-accounts or one twice, and for times that make no sense.
    """

    def __init__(
        self,
        rpc: Rpc | str | Secret,
        deployment: Deployment,
        authority: str,
        accounts: Iterable[int] = (0,),
        *,
        poll: float = 10.0,
        pubsub: Pubsub | str | Secret | None = None,
        perps: Iterable[int] = (),
        settle: float = 0.05,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self.deployment = deployment
        self.authority = str(address(authority))
        self.subs = tuple(accounts)
        if not self.subs or len(set(self.subs)) != len(self.subs):
            raise InvalidMarket(f"sub-accounts {self.subs} must be one or more numbers, each once")
        for number in (*self.subs, *(watched := tuple(perps))):
            if type(number) is not int or not 0 <= number <= 0xFFFF:
                raise InvalidMarket(f"{number!r} is no number of a sub-account or a market: from 0 to 65535")
        for what, value in (("poll", poll), ("settle", settle)):
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
                raise InvalidMarket(f"{what} {value!r} of a monitor must be a positive number of seconds")
        self._own_rpc, self._rpc = not isinstance(rpc, Rpc), rpc if isinstance(rpc, Rpc) else Rpc(rpc)
        self._own_pubsub = pubsub is not None and not isinstance(pubsub, Pubsub)
        self._pubsub = Pubsub(pubsub) if isinstance(pubsub, (str, Secret)) else pubsub
        self._poll, self._settle, self._clock = poll, settle, clock
        self._watched = frozenset(watched)
        self._raw: dict[str, Account | None] = {}
        self._spots: set[int] = {deployment.quote.market}
        self._perps: set[int] = set(watched)
        self._oracles: set[str] = set()
        self._least = 0
        """The newest slot that anything was told of: no poll may be of an older one."""
        self._since: int | None = None
        self._due: float | None = None
        self._resync = self._pushed = False
        self._nudge = anyio.Event()
        self._lock = anyio.Lock()
        self._stack: AsyncExitStack | None = None
        self._tasks: TaskGroup | None = None
        self._followed: set[str] = set()
        self.dropped = 0
        """How many pushes were older than what was known, and dropped."""

    # -- opening --------------------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Monitor:
        await self.aopen()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        await self.aclose()

    async def aopen(self) -> None:
        """Ready to look. Opening again does nothing."""
        if self._stack is not None:
            return
        self._nudge, self._lock = anyio.Event(), anyio.Lock()
        stack = AsyncExitStack()
        if self._own_rpc:
            stack.push_async_callback(self._rpc.aclose)
        if self._pubsub is not None and self._own_pubsub:
            await stack.enter_async_context(self._pubsub)
        if self._pubsub is not None:
            self._tasks = await stack.enter_async_context(anyio.create_task_group())
            stack.callback(self._tasks.cancel_scope.cancel)
        self._stack = stack

    async def aclose(self) -> None:
        """Look no more. Closing again does nothing."""
        stack, self._stack, self._tasks = self._stack, None, None
        self._followed.clear()
        if stack is not None:
            await stack.aclose()

    def __repr__(self) -> str:
        return f"<Monitor {self.authority} {self.subs} at {self.deployment.name}>"

    # -- looking --------------------------------------------------------------------------------------------------------------

    async def look(self) -> Snapshot:
        """Read all accounts now, as of one slot where there are at most 100 of them.

        Raises `WrongAccount` for an account that is there and is not what it should be, and for a State or market that is not
        there; `VenueUnavailable` where the node does not answer, or is behind what it told before.
        """
        if self._stack is None:
            raise VenueUnavailable(f"{self!r} is not open: `async with Monitor(...) as monitor`")
        async with self._lock:
            self._resync = self._pushed = False
            sight = await self._read()
            self._due = anyio.current_time() + self._poll
            snapshot = self._snapshot(sight, Source.POLL)
            self._since = snapshot.at
        self._follow()
        return snapshot

    async def _read(self) -> _Sight:
        """Ask until every market that the sub-accounts stand in, and every oracle of those, is among what was asked for."""
        of = self.deployment
        fixed = [of.state(), of.user_stats(self.authority), *(of.user(self.authority, sub) for sub in self.subs)]
        for _ in range(_MOST_LOOKS):
            markets = [*map(of.spot_market, sorted(self._spots)), *map(of.perp_market, sorted(self._perps))]
            wanted = list(dict.fromkeys([*fixed, *markets, *sorted(self._oracles)]))
            found = await self._rpc.accounts([Pubkey.from_string(key) for key in wanted], min_slot=self._least or None)
            if found.slot < self._least:  # a push came meanwhile: this would take it back
                continue
            raw = dict(zip(wanted, found.values, strict=True))
            sight = _Sight(of, self.authority, self.subs, raw)
            in_spots, in_perps = sight.stands_in()
            sight.read_markets(self._spots, self._perps)
            in_spots |= {one.quote_market for one in sight.perps.values()}
            priced: list[SpotMarket | PerpMarket] = [*sight.spots.values(), *sight.perps.values()]
            oracles = {one.oracle for one in priced if one.oracle_source is not OracleSource.QUOTE_ASSET}
            if in_spots <= self._spots and in_perps <= self._perps and oracles <= self._oracles:
                self._raw, self._least = raw, max(self._least, found.slot)
                # what is no longer stood in is left out of the next question
                self._spots, self._perps = in_spots | {of.quote.market}, in_perps | self._watched
                return sight
            self._spots |= in_spots
            self._perps |= in_perps
            self._oracles = oracles
        raise VenueUnavailable(f"the sub-accounts of {self.authority} stand in other markets each time that they are looked at")

    def _snapshot(self, sight: _Sight, source: Source) -> Snapshot:
        prices: list[Price] = []
        errors: list[str] = []
        markets: list[SpotMarket | PerpMarket] = [*sight.spots.values(), *sight.perps.values()]
        for market in markets:
            try:
                prices.append(price_of(sight, market))
            except VenueError as error:
                errors.append(str(error))
        now = self._clock()
        funding: list[FundingQuote] = []
        for index in sorted(sight.perps):
            try:
                funding += funding_quotes(self.deployment, [sight.perps[index]], now=now)
            except InvalidMarket as error:
                errors.append(str(error))
        slots = [one.slot for one in self._raw.values() if one is not None]
        return Snapshot(
            self.deployment,
            self.authority,
            now,
            max(slots),
            min(slots),
            source,
            sight.state,
            sight.stats,
            tuple(self._sub(sight, sub) for sub in self.subs),
            sight.spots,
            sight.perps,
            tuple(prices),
            tuple(errors),
            tuple(funding),
        )

    def _sub(self, sight: _Sight, sub: int) -> SubAccount:
        key, user = self.deployment.user(self.authority, sub), sight.users[sub]
        if user is None:
            return SubAccount(sub, key, None, None, f"sub-account {sub} is not there: what it holds is not zero, it does not exist")
        try:
            return SubAccount(sub, key, user, figures_of(sight, user), "")
        except (VenueError, InvalidMarket) as error:
            return SubAccount(sub, key, user, None, str(error))

    # -- between two polls ----------------------------------------------------------------------------------------------------

    def __aiter__(self) -> AsyncIterator[Snapshot | Blind]:
        """For one reader: what one has read, another is not given."""
        return self

    async def __anext__(self) -> Snapshot | Blind:
        """A poll first, then whenever something was pushed and whenever a poll is due. It ends when the monitor is closed."""
        while self._stack is not None:
            wait = 0.0 if self._due is None else self._due - anyio.current_time()
            if wait > 0 and not self._resync:
                if not self._pushed:
                    with anyio.move_on_after(wait):
                        await self._nudge.wait()
                    if self._pushed or self._resync:
                        await anyio.sleep(self._settle)  # what comes together is told together
                    self._nudge = anyio.Event()
                    continue
                self._pushed = False
                snapshot = self._from_pushes()
                if snapshot is not None:
                    return snapshot
                continue
            try:
                return await self.look()
            except VenueError as error:
                self._due = anyio.current_time() + self._poll
                self._resync = self._pushed = False
                log.warning("%s: %s", self.deployment.name, error)
                return Blind(self._clock(), str(error), self._since)
        raise StopAsyncIteration

    def _from_pushes(self) -> Snapshot | None:
        """What the last poll and the pushes since come to; None where that cannot be told without reading anew, which is then due."""
        try:
            sight = _Sight(self.deployment, self.authority, self.subs, self._raw)
            spots, perps = sight.stands_in()
            if spots <= self._spots and perps <= self._perps:
                sight.read_markets(self._spots, self._perps)
                return self._snapshot(sight, Source.PUSH)
        except VenueError as error:
            log.warning("%s: a push is not what it should be: %s", self.deployment.name, error)
        self._resync = True
        return None

    def _follow(self) -> None:
        """Listen to every account that was read and is not listened to yet."""
        if self._tasks is None:
            return
        for key in self._raw:
            if key not in self._followed:
                self._followed.add(key)
                self._tasks.start_soon(self._hear, key, name=f"sleeves drift monitor {key}")

    async def _hear(self, key: str) -> None:
        assert self._pubsub is not None
        try:
            async with self._pubsub.account(Pubkey.from_string(key)) as pushes:
                async for push in pushes:
                    self._take(key, push)
        except (VenueRejected, VenueUnavailable) as error:
            log.warning("%s is not pushed, and read by polls alone: %s", key, error)

    def _take(self, key: str, push: Changed | Gap) -> None:
        if isinstance(push, Gap):
            self._resync = True
        else:
            known = self._raw.get(key)
            if key not in self._raw or push.slot < max(known.slot if known is not None else 0, 0 if known else self._least):
                self.dropped += 1
                return
            gone = not push.account.lamports and not push.account.data
            self._raw[key] = None if gone else push.account
            self._least = max(self._least, push.slot)
            self._pushed = True
        self._nudge.set()


def _told(account: Account) -> tuple[str, str, bytes, int]:
    return str(account.address), str(account.owner), account.data, account.slot


# -- as text ------------------------------------------------------------------------------------------------------------------


def _usd(units: int) -> str:
    return _comma(decimal_text(units, 6))


def _comma(text: str) -> str:
    whole, dot, rest = text.partition(".")
    sign = "-" if whole.startswith("-") else ""
    return f"{sign}{int(whole.lstrip('-')):,}{dot}{rest}"


def _percent(ratio: Fraction) -> str:
    return f"{float(ratio * 100):+.6f}%"


def _table(seen: Snapshot) -> list[str]:
    quote = seen.deployment.quote.asset.code
    span = f"slot {seen.slot}" if seen.one_slot else f"slots {seen.oldest} to {seen.slot}"
    lines = [f"{seen.deployment.name}  {seen.authority}  {span}  by {seen.source.value}"]
    for account in seen.accounts:
        found = account.figures
        if found is None:
            lines.append(f"  sub-account {account.sub}: not known: {account.wrong}")
            continue
        leverage = "none" if found.leverage_bp is None else f"{found.leverage_bp / 10_000:.2f}x"
        lines.append(
            f"  sub-account {account.sub}  equity {_usd(found.net_equity)} {quote}  health {found.health}  leverage {leverage}"
            f"  free {_usd(found.free)}  room {_usd(found.room)}" + ("  CAN BE LIQUIDATED" if found.liquidatable else "")
        )
        for coin in found.spots:
            held, value = _comma(decimal_text(coin.tokens, coin.decimals)), _usd(coin.value)
            weights = f"{coin.initial_weight / 100:g}%/{coin.maintenance_weight / 100:g}%"
            lines.append(f"    {coin.name:<10} {held:>20}  worth {value}  weights {weights}  at {_usd(coin.price.price)}")
        for one in found.perps:
            held, price = _comma(decimal_text(one.base, 9)), "none" if one.liquidation_price is None else _usd(one.liquidation_price)
            rate = "none yet" if one.funding_ratio is None else _percent(one.funding_ratio)
            apart = "" if one.isolated is None else f"  isolated {_usd(one.isolated)}"
            lines.append(
                f"    {one.name:<10} {held:>20}  unsettled {_usd(one.unsettled_pnl)}  liquidation {price}  funding {rate}"
                f"  at {_usd(one.price.price)}, {one.price.age} slots old{apart}"
            )
        user = account.user
        assert user is not None
        for order in user.orders:
            side, kind = ("buy" if order.long else "sell"), ("perp" if order.perp else "spot")
            left = order.base - order.filled
            lines.append(f"    order {order.id}  {side} {kind} {order.market}  {left} of {order.base} units open  at {_usd(order.price)}")
        lines += [f"    DOUBTFUL {doubt}" for doubt in found.doubts]
    lines += [f"  NOT KNOWN {why}" for why in seen.errors]
    return lines
