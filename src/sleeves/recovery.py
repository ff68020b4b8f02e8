"""After a crash, and beside a running desk: the venue is asked, and what it says is booked.

    history    every fact since the last one that the journal has, each booked once
    orders     each one that may be open is looked up by its own id; "not found" is no evidence, and its hold stays
    balances   reconciled, every residual named

`recover` does all three before any engine is asked. `reconcile` does the first and the last beside a running desk, `Sync`
does so again and again and says when it cannot, and `Chase` and `Arrivals` go on asking after orders whose fate is
unknown and transfers that the venue has not told of. None of them ever sends an order, a cancel or a transfer again; only
questions are asked again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from math import inf
from typing import Protocol, TypeVar

import anyio
from attrs import field, frozen

from .desk import Desk
from .errors import VaultError, VenueError, VenueUnavailable
from .facts import CashFlow, FlowKind, TransferRefused
from .market import DAY, HOUR, SECOND
from .money import Amount
from .orders import CancelOrder, Command, Order, OrderReport, OrderStatus, Position, Transfer, Unanswered
from .protocols import Venue
from .reconcile import Reconciliation
from .records import Asked, Fact, Level, Policy, policy_of
from .seat import NEVER
from .shell import carry_out, log, named, real_money, stands_for
from .standings import venue_subject
from .status import Hold, Status

__all__ = ["RETRY_AFTER", "Arrivals", "Chase", "Recovery", "Sync", "reconcile", "recover"]

T = TypeVar("T")

OVERLAP = HOUR
"""How far before the last known fact the venue is asked from: what came late then is found, what is known changes nothing."""
LATEST_LINE = DAY
"""How long after a coin moved a venue's own ledger may first speak of it; lines that explained something are known."""
LOOKS = 5
"""How often the venue is asked again when something happened while it was asked."""
RETRY_AFTER = (1.0, 2.0, 4.0)
"""After how many seconds a question that was not answered is asked again, each time."""
CONFIRM_WITHIN = 30.0
"""Seconds after which a transfer that the venue has not told of is asked after."""
UNKNOWN_AFTER = 60.0
"""Seconds after which a human is told that the fate of a transfer is not known."""
LOOK_WITHIN = 60.0
"""Seconds within which the venues of a wallet must have answered all that a look asks."""
ASK_EVERY = 5.0
"""How often it is asked after in between, in seconds."""
EARLY = 0.01
"""A clock that rings so many seconds early is in time."""


@frozen(order=False, repr=False)
class Recovery:
    """What was found when a desk was opened again."""

    since: Mapping[str, int]
    """From when on each venue was asked, in nanoseconds."""
    booked: int
    """Facts that the journal did not have."""
    foreign: int
    """Facts that are none of ours, or that nobody is found for: they wait in quarantine."""
    resolved: Mapping[str, OrderStatus]
    """What became of orders that might have been open, by id; those that the venue does not find are `UNKNOWN`."""
    strangers: tuple[str, ...]
    """Orders that are open at the venue and are none of ours."""
    reconciliations: tuple[Reconciliation, ...]
    policy: Policy
    commands: Sequence[Command] = field(factory=tuple)
    """What was carried out at the end: cancels, and what flattens."""
    standing: Mapping[str, str] = field(factory=dict)
    """What does not take new risk all the same, by its name in the journal: it was paused, killed or held before."""

    def __str__(self) -> str:
        orders = ", ".join(f"{name} {status}" for name, status in self.resolved.items()) or "none"
        asked = ", ".join(f"{name} from {since} ns on" for name, since in self.since.items())
        lines = [
            f"asked {asked}: {self.booked} facts booked, {self.foreign} in quarantine",
            f"orders that might have been open: {orders}",
        ]
        lines += [f"open at the venue and none of ours: {', '.join(self.strangers)}"] if self.strangers else []
        still = "".join(f"; {name} is still {status}" for name, status in self.standing.items())
        return "\n".join([*lines, *map(str, self.reconciliations), f"then {self.policy}, {len(self.commands)} commands{still}"])

    __repr__ = __str__


async def recover(
    desk: Desk,
    *venues: Venue,
    policy: Policy = Policy.RESUME,
    by: str = "recover",
    retry_after: Sequence[float] = RETRY_AFTER,
) -> Recovery:
    """Bring a desk that was opened on a journal with records to where its venues are; then its engines may run.

    Books every fact that the journal does not have, looks up each order that may be open, and reconciles. Nothing is
    traded meanwhile; cancels that follow are sent at the end. `policy` says what sleeves do then. A `Recovered` record
    keeps what was found. A question that a venue does not answer is asked again after each of `retry_after` seconds; what
    is sent is sent once.

    Raises `VaultError` when nothing is to be recovered, or a sleeve with open orders or positions has no engine;
    `VenueUnavailable` when a venue does not answer: the desk then still waits to be recovered, and this may be called
    again. What was booked by then stays booked.
    """
    by_name = named(venues, "recover")
    policy = policy_of(policy)
    _check(desk)
    desk.meet(real_money(venues))
    ours = desk.open_orders()
    at = {order.id: _venues_of(order, by_name) for order in ours}
    wallets = _wallets(desk, venues)
    since, before = _since(desk, venues), len(desk.books.facts)
    later = _Later()
    asked = {venue.name: _Patient(venue, retry_after) for venue in venues}
    for venue in asked.values():
        await _catch_up(desk, venue, since[venue.name], later)
    strangers: list[str] = []
    for venue in asked.values():
        strangers += [report.order_id for report in await venue.open_orders() if report.order_id not in at]
    for order in ours:
        if not desk.status_of(order.id).done:
            await _look_up(desk, [asked[venue.name] for venue in at[order.id]], order, later)
    resolved = {order.id: desk.status_of(order.id) for order in ours}
    reconciliations = [
        await _reconcile(desk, wallet, [asked[venue.name] for venue in some], since, by, later) for wallet, some in wallets.items()
    ]
    found = _words(desk, since, len(desk.books.facts) - before, resolved, strangers, reconciliations)
    seen = [known for name in by_name for known in stands_for(desk, by_name, name)]
    commands = list(dict.fromkeys([*later.commands, *desk.recovered(policy=policy, found=found, venues=seen, by=by)]))
    await carry_out(desk, commands, venues[0] if len(venues) == 1 else None, by_name)
    foreign = sum(map(len, desk.books.quarantine.values()))
    booked = len(desk.books.facts) - before
    standing = {name: str(status) for name, status in desk.statuses.items() if status not in (Status.ACTIVE, Status.STAND_BY)}
    return Recovery(since, booked, foreign, resolved, tuple(strangers), tuple(reconciliations), policy, tuple(commands), standing)


class _Source(Protocol):
    """What of a venue can be asked."""

    @property
    def name(self) -> str: ...
    async def look_up(self, order: Order) -> OrderReport | None: ...
    async def open_orders(self) -> Sequence[OrderReport]: ...
    async def balances(self) -> Mapping[str, Amount]: ...
    async def positions(self) -> Mapping[str, Position]: ...
    async def history(self, since: int) -> Sequence[Fact]: ...
    async def cash_flows(self, since: int) -> Sequence[CashFlow]: ...


Holdings = Mapping[int, Mapping[str, Amount]]
"""Coins by sub-account and code."""


class _Patient:
    """A venue whose questions are asked again while it is not reached. Nothing can be sent through it."""

    def __init__(self, venue: Venue, pauses: Sequence[float]) -> None:
        self._venue, self._pauses = venue, tuple(pauses)
        self.name = venue.name
        inner = getattr(venue, "holdings", None)
        self.holdings = None if inner is None else partial(self._ask, "holdings", inner)

    async def _ask(self, what: str, question: Callable[[], Awaitable[T]]) -> T:
        for pause in self._pauses:
            try:
                return await question()
            except VenueUnavailable as error:
                log.warning("%s did not tell its %s: %s; it is asked again in %g s", self.name, what, error, pause)
            await anyio.sleep(pause)
        return await question()

    async def look_up(self, order: Order) -> OrderReport | None:
        return await self._ask(f"order {order.id}", partial(self._venue.look_up, order))

    async def open_orders(self) -> Sequence[OrderReport]:
        return await self._ask("open orders", self._venue.open_orders)

    async def balances(self) -> Mapping[str, Amount]:
        return await self._ask("balances", self._venue.balances)

    async def positions(self) -> Mapping[str, Position]:
        return await self._ask("positions", self._venue.positions)

    async def history(self, since: int) -> Sequence[Fact]:
        return await self._ask("history", partial(self._venue.history, since))

    async def cash_flows(self, since: int) -> Sequence[CashFlow]:
        return await self._ask("cash flows", partial(self._venue.cash_flows, since))


class _Hands(Protocol):
    """What becomes of the commands that the desk answers while the venue is asked."""

    async def __call__(self, commands: Sequence[Command]) -> None: ...


class _Later:
    """Nothing is traded while a desk recovers: cancels are kept for the end."""

    def __init__(self) -> None:
        self.commands: list[Command] = []

    async def __call__(self, commands: Sequence[Command]) -> None:
        self.commands += commands


class _AtOnce:
    """Beside a running desk a command is carried out before the next question, so that none is lost when that fails."""

    def __init__(self, desk: Desk, by_name: Mapping[str, Venue]) -> None:
        self._desk, self._by_name = desk, by_name

    async def __call__(self, commands: Sequence[Command]) -> None:
        only = next(iter(self._by_name.values())) if len(self._by_name) == 1 else None
        await carry_out(self._desk, commands, only, self._by_name)


def _check(desk: Desk) -> None:
    if not desk.recovering:
        raise VaultError("this desk was not opened on a journal with records, or is recovered already")
    state = desk.books.state
    waiting = set() if state is None else {one.order.sleeve for one in state.orders.values()}
    waiting |= set() if state is None else {flight.record.sleeve for flight in state.flights.values()}
    for vault in desk.treasury.vaults:
        for name, sleeve in vault.sleeves.items():
            if name not in desk.engines and (sleeve.positions() or name in waiting):
                what = "open orders or bundles" if name in waiting else "positions"
                raise VaultError(f"sleeve {name} has {what} and no engine: assign one, or engines.Idle, before the desk is recovered")


def _since(desk: Desk, venues: Sequence[Venue]) -> dict[str, int]:
    """From when on each venue must be asked so that nothing is missed: never from before the books were begun.

    Books that have seen no time yet have nothing to ask for: what is there is what they were opened with.
    """
    books, begun = desk.books, desk.books.begun or NEVER
    waiting = [order.at for order in desk.open_orders()]
    return {venue.name: max(begun, min([books.last.get(venue.name, begun), *waiting]) - OVERLAP) for venue in venues}


def _words(
    desk: Desk,
    since: Mapping[str, int],
    booked: int,
    resolved: Mapping[str, OrderStatus],
    strangers: Sequence[str],
    found: Sequence[Reconciliation],
) -> dict[str, str]:
    """What was found, for the journal."""
    words = {f"since {name}": str(at) for name, at in since.items()}
    words |= {"booked": str(booked), "quarantine": str(sum(map(len, desk.books.quarantine.values())))}
    words |= {f"order {name}": str(status) for name, status in resolved.items()}
    words |= {"strangers": " ".join(strangers)} if strangers else {}
    return words | {f"residual {one.id}": str(one) for looked in found for one in looked.standing}


def _venues_of(order: Order, by_name: Mapping[str, Venue]) -> list[Venue]:
    """Where an order went, or may have gone: to the only venue, to the one that its instrument names, or to any.

    Raises `VaultError` when that one is not here: its fate could not be found.
    """
    name = order.place.instrument.venue
    if len(by_name) == 1 or not name:
        return list(by_name.values())
    if name not in by_name:
        raise VaultError(f"{order.id} was sent to {name}, which is not among {', '.join(by_name)}: hand that venue in as well")
    return [by_name[name]]


def _wallets(desk: Desk, venues: Sequence[Venue]) -> dict[str, list[Venue]]:
    """Which venues hold the coins of which wallet: all that of the only one, otherwise each that of its own name."""
    wallets = {vault.wallet for vault in desk.treasury.vaults}
    if len(wallets) == 1:
        return {next(iter(wallets)): list(venues)}
    unknown = [venue.name for venue in venues if venue.name not in wallets]
    if unknown:
        hint = f"with several wallets each bears the name of its venue: {sorted(wallets)}"
        raise VaultError(f"whose wallet is at {', '.join(unknown)}? {hint}")
    return {venue.name: [venue] for venue in venues}


async def _asked_from(question: Callable[[int], Awaitable[Sequence[T]]], since: int) -> Sequence[T]:
    """What a venue says has happened from an instant on; it is not asked from never on."""
    return await question(since) if since < NEVER - OVERLAP else ()


async def _catch_up(desk: Desk, venue: _Source, since: int, hands: _Hands) -> None:
    """Book what the venue says has happened, each fact once."""
    for fact in await _asked_from(venue.history, since):
        await hands(desk.step(fact))


async def _look_up(desk: Desk, venues: Sequence[_Source], order: Order, hands: _Hands) -> None:
    """Ask what became of an order. Its fills are booked before it is taken for done; not found is unknown."""
    for venue in venues:
        report = await venue.look_up(order)
        if report is not None:
            if report.filled > desk.filled(order.id):
                await _catch_up(desk, venue, max(desk.books.begun, order.at - OVERLAP), hands)
            await hands(desk.step(report))
            return
    names = ", ".join(venue.name for venue in venues)
    await hands(desk.step(Unanswered(order.id, desk.books.now, f"{names} does not find it")))


async def reconcile(desk: Desk, *venues: Venue, by: str = "reconcile", only: str = "") -> tuple[Reconciliation, ...]:
    """Hold the books against what the venues say, beside a running desk or between two runs; see `Desk.reconcile`.

    Facts that were not told yet are booked first, and orders that the venues no longer have are looked up. With `only`, a
    venue's name, nothing is asked but of the venues of its wallet. Raises `VenueUnavailable` when a venue does not answer, or
    its account moved each time that it was looked at, and `VaultError` for a venue of no wallet here.
    """
    by_name = named(venues, "reconcile")
    wallets, hands = _wallets(desk, venues), _AtOnce(desk, by_name)
    if only:
        if only not in by_name:
            raise VaultError(f"reconcile: no venue here is named {only!r}")
        wallets = {wallet: some for wallet, some in wallets.items() if any(venue.name == only for venue in some)}
    asked = [venue for some in wallets.values() for venue in some]
    await _look_for_lost(desk, by_name, asked, hands)
    return tuple([await _reconcile(desk, wallet, some, _since(desk, some), by, hands) for wallet, some in wallets.items()])


async def _look_for_lost(desk: Desk, by_name: Mapping[str, Venue], asked: Sequence[Venue], hands: _Hands) -> None:
    """Orders that are open here and not there: their end was never heard."""
    names = {venue.name for venue in asked}
    before = desk.open_orders()
    there = {report.order_id for venue in asked for report in await venue.open_orders()}
    open_now = {order.id for order in desk.open_orders()}
    for order in before:
        named_here = not order.place.instrument.venue or order.place.instrument.venue in by_name or len(by_name) == 1
        if order.id in there or order.id not in open_now or not named_here:
            continue
        at = _venues_of(order, by_name)
        if names.issuperset(venue.name for venue in at):
            await _look_up(desk, at, order, hands)


async def _reconcile(
    desk: Desk, wallet: str, venues: Sequence[_Source], since: Mapping[str, int], by: str, hands: _Hands
) -> Reconciliation:
    """Balances are of an instant: they are believed when nothing was booked, and nothing has happened, while they were asked for."""
    books, begun = desk.books, desk.books.begun or NEVER
    looked = books.reconciled.get(wallet, begun)
    lines_since = max(begun, looked - LATEST_LINE)
    since = {name: max(begun, min(at, looked - OVERLAP)) for name, at in since.items()}
    for _ in range(LOOKS):
        for venue in venues:
            await _catch_up(desk, venue, since[venue.name], hands)
        seen = books.changes, len(books.facts), sum(map(len, books.quarantine.values()))
        balances: dict[str, Amount] = {}
        positions: dict[str, Position] = {}
        holdings: dict[int, dict[str, Amount]] = {}
        apart = False
        flows: list[CashFlow] = []
        for venue in venues:
            there = await _holdings(venue)
            apart |= getattr(venue, "holdings", None) is not None
            for account, coins in there.items():
                own = holdings.setdefault(account, {})
                for code, amount in coins.items():
                    own[code] = amount if code not in own else own[code] + amount
                    balances[code] = amount if code not in balances else balances[code] + amount
            positions |= await venue.positions()
            flows += await _lines(venue, lines_since, begun)
        news = await _news(desk, venues, since)
        for venue in [one for one in venues if getattr(one, "holdings", None) is not None]:
            # interest comes with no fact: a line more than a moment ago says that what was held is of before it
            lines = {line.key for line in flows if line.venue == venue.name}
            news |= any(line.key not in lines for line in await _lines(venue, lines_since, begun) if line.venue == venue.name)
        if not news and seen == (books.changes, len(books.facts), sum(map(len, books.quarantine.values()))):
            lie = holdings if apart else None
            found, more = desk.reconcile(balances, flows, positions=positions, holdings=lie, wallet=wallet, by=by)
            await hands(more)
            return found
    raise VenueUnavailable(f"the account at {', '.join(v.name for v in venues)} moved each of {LOOKS} times that it was looked at")


async def _lines(venue: _Source, since: int, begun: int) -> list[CashFlow]:
    """Lines of the venue's own ledger from an instant on.

    Where that is when the books began, those of interest from a second before too: a venue that tells whole seconds tells what
    came after as of before. One that was counted in the beginning explains nothing, and is passed over.
    """
    found = await _asked_from(venue.cash_flows, max(0, since - SECOND) if since == begun else since)
    return [line for line in found if line.at >= since or line.kind is FlowKind.INTEREST]


async def _holdings(venue: _Source) -> Holdings:
    """All coins of an account of one instant, by sub-account; in the main one where the venue has no others."""
    ask: Callable[[], Awaitable[Holdings]] | None = getattr(venue, "holdings", None)
    return {0: await venue.balances()} if ask is None else await ask()


async def _news(desk: Desk, venues: Sequence[_Source], since: Mapping[str, int]) -> bool:
    """Whether something has happened that is not booked and not in quarantine."""
    for venue in venues:
        if any(_is_news(desk, fact) for fact in await _asked_from(venue.history, since[venue.name])):
            return True
    return False


def _is_news(desk: Desk, fact: Fact) -> bool:
    return desk.books.fact(fact.key) is None and fact not in desk.books.quarantine.get(fact.key, ())


class Chase:
    """Asks after orders whose fate is unknown, until the venue has told of all; after `patience` seconds a human is told."""

    def __init__(self, desk: Desk, by_name: Mapping[str, Venue], patience: float) -> None:
        self.desk = desk
        self.pause = min(1.0, patience / 8)
        """How long to wait before asking, in seconds: longer each time, up to `patience` once that is over."""
        self._by_name = by_name
        self._patience = patience
        self._since: dict[str, float] = {}
        self._told: set[str] = set()

    async def once(self) -> None:
        """Ask once after each. A venue that does not answer is asked again the next time."""
        now, desk = anyio.current_time(), self.desk
        for order in [*desk.in_doubt, *desk.uncanceled]:
            since = self._since.setdefault(order.id, now - self.pause)
            await self._ask(order)
            if desk.status_of(order.id) is OrderStatus.UNKNOWN and now - since >= self._patience and order.id not in self._told:
                self._told.add(order.id)
                text = f"{order.id} may have been sent and is not found for {self._patience:g} s: what it holds stays held"
                desk.alert(desk.books.now, Level.CRITICAL, order.sleeve, "order_unknown", text)
        over = self._told and not desk.uncanceled and all(order.id in self._told for order in desk.in_doubt)
        self.pause = self._patience if over else min(self.pause * 2, 8.0, self._patience / 8)

    async def _ask(self, order: Order) -> None:
        desk, hands = self.desk, _AtOnce(self.desk, self._by_name)
        try:
            await _look_up(desk, _venues_of(order, self._by_name), order, hands)
        except (VenueError, VaultError) as error:
            log.warning("no answer about %s: %s", order.id, error)
            return
        if order.id in desk.cancels_lost and desk.status_of(order.id) is not OrderStatus.UNKNOWN:
            desk.cancels_lost.discard(order.id)  # should this one be lost too, it is noted again
            if desk.status_of(order.id) is OrderStatus.OPEN:
                await hands([CancelOrder(order)])


class Sync:
    """Holds the books against the venues of each wallet, and latches those venues while that does not come through.

    A look that fails is tried again after each of `retry_after` seconds. Then an alert `sync_failed` is raised and no new
    risk is taken there (`Hold.SYNC`), until a look comes through: `sync_restored`.
    """

    def __init__(self, desk: Desk, venues: Sequence[Venue], retry_after: Sequence[float] | None = None) -> None:
        self.desk = desk
        self.looks = 0
        """How many came through."""
        self.errors: list[BaseException] = []
        """What the last look raised, each try."""
        self._venues = venues
        self._by_name = named(venues, "reconcile")
        self._retry_after = retry_after
        self._looking = anyio.Lock()

    def groups(self) -> list[list[str]]:
        """The names of the venues of each wallet; of all, where it cannot be said which holds what."""
        try:
            return [[venue.name for venue in some] for some in _wallets(self.desk, self._venues).values()]
        except VaultError:
            return [list(self._by_name)]

    async def look(self, name: str) -> None:
        """Hold the wallet of this venue against its venues, once. Raises what `reconcile` raises."""
        async with self._looking:
            try:
                with anyio.fail_after(LOOK_WITHIN):
                    await reconcile(self.desk, *self._venues, by="live", only=name)
            except TimeoutError:
                raise VenueUnavailable(f"{name} did not answer within {LOOK_WITHIN:g} s") from None
        self.looks += 1

    async def once(self, names: Sequence[str]) -> bool:
        """Hold the wallet of these venues against them; whether that came through, at once or after a while."""
        self.errors = []
        pauses = RETRY_AFTER if self._retry_after is None else self._retry_after
        for pause in (0.0, *pauses):
            if pause:
                await anyio.sleep(pause)
            try:
                await self.look(names[0])
            except (VenueError, VaultError) as error:
                log.warning("the books could not be held against %s: %s", ", ".join(names), error)
                self.errors.append(error)
                continue
            self._lift(names)
            return True
        await self._latch(names, self.errors[-1])
        return False

    async def _latch(self, names: Sequence[str], error: BaseException) -> None:
        desk, hands = self.desk, _AtOnce(self.desk, self._by_name)
        for name in names:
            if Hold.SYNC in desk.latches(name):
                continue
            tries = len(self.errors)
            text = f"the books could not be held against {name} {tries} times: {error}; no new risk there until they can"
            desk.alert(desk.books.now, Level.CRITICAL, venue_subject(name), "sync_failed", text)
            for one in stands_for(desk, self._by_name, name):
                await hands(desk.latch(one, Hold.SYNC, by="live", why=str(error)))

    def _lift(self, names: Sequence[str]) -> None:
        desk = self.desk
        for name in names:
            if Hold.SYNC in desk.latches(name):
                for one in stands_for(desk, self._by_name, name):
                    desk.lift(one, Hold.SYNC, by="live", why="the books were held against it")
                desk.alert(desk.books.now, Level.INFO, venue_subject(name), "sync_restored", f"the books were held against {name} again")


class Arrivals:
    """Asks after transfers that were sent and that the venue has not told of: at 30 s, and on. At 60 s a human is told.

    What left stays in transit, and what is to come is not counted, until the venue tells, is certain that it never came, or a
    human gives it up.
    """

    def __init__(
        self,
        desk: Desk,
        look: Callable[[str], Awaitable[None]],
        every: float,
        venues: Mapping[str, Venue] | None = None,
        hands: _Hands | None = None,
    ) -> None:
        self.desk = desk
        self._look = look
        self._venues = venues or {}
        self._hands = hands
        self._every = every
        """How often it is asked after once a human was told, in seconds."""
        self._since: dict[str, float] = {}
        self._asked: dict[str, float] = {}
        self._told: set[str] = set()

    @property
    def under_way(self) -> list[str]:
        """Transfers that were asked for and are not through."""
        return self.desk.transfers

    async def once(self, venues: Sequence[str]) -> None:
        """Ask after each that is due. A venue that does not answer is asked again the next time."""
        now, names = anyio.current_time(), self.under_way
        for known in [name for name in self._since if name not in names]:
            for kept in (self._since, self._asked):
                kept.pop(known, None)
            self._told.discard(known)
        due = False
        for name in names:
            age = now - self._since.setdefault(name, now)
            pause = self._every if name in self._told else ASK_EVERY
            due |= age >= CONFIRM_WITHIN - EARLY and now - self._asked.get(name, -inf) >= pause - EARLY
        if not due:
            return
        self._asked |= {name: now for name in names if now - self._since[name] >= CONFIRM_WITHIN - EARLY}
        for venue in venues:
            try:
                await self._look(venue)
            except (VenueError, VaultError) as error:
                log.warning("no answer from %s about %s: %s", venue, ", ".join(names), error)
        for name in [one for one in self.under_way if now - self._since.get(one, now) >= CONFIRM_WITHIN - EARLY]:
            await self._never(name)
        now = anyio.current_time()
        for name in self.under_way:
            if name not in self._told and now - self._since.get(name, now) >= UNKNOWN_AFTER - EARLY:
                self._told.add(name)
                text = f"{name} was sent {UNKNOWN_AFTER:g} s ago and the venue has told nothing of it: what left stays in transit"
                self.desk.alert(self.desk.books.now, Level.CRITICAL, name, "transfer_unknown", text)

    async def _never(self, name: str) -> None:
        """Where its venue can say so: it did not come, and never will. An earlier process may have died before it was sent."""
        asked = self.desk.books.journal.find(f"transfer|{name}")
        if not isinstance(asked, Asked):
            return
        named_, sent = asked.transfer.venue, asked.transfer
        able = [venue for venue in self._venues.values() if not sent.inside or getattr(venue, "holdings", None) is not None]
        meant = [one for name_, one in self._venues.items() if name_ == named_] if named_ else able
        if len(meant) != 1:  # one that was not meant to carry it knows nothing of it, and would be certain
            return
        never: Callable[[Transfer, int], Awaitable[bool]] | None = getattr(meant[0], "never_landed", None)
        if never is None:
            return
        try:
            certain = await never(sent, asked.at)
        except VenueError as error:
            log.warning("%s does not say whether %s can still come: %s", meant[0].name, name, error)
            return
        if certain is True and name in self.under_way:
            commands = self.desk.step(TransferRefused(self.desk.books.now, name, "it never came, and can no longer"))
            if self._hands is not None:
                await self._hands(commands)
