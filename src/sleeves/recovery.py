"""After a crash, and beside a running desk: the venue is asked, and what it says is booked.

    history    every fact since the last one that the journal has, each booked once
    orders     each one that may be open is looked up by its own id; "not found" is no evidence, and its hold stays
    balances   reconciled, every residual named

`recover` does all three before any engine is asked. `reconcile` does the first and the last beside a running desk, and
`Chase` goes on asking after orders whose fate is unknown. None of them ever sends an order again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import anyio
from attrs import field, frozen

from .desk import Desk
from .errors import VaultError, VenueError, VenueUnavailable
from .facts import CashFlow
from .market import DAY, HOUR
from .money import Amount
from .orders import CancelOrder, Command, Order, OrderStatus, Position, Unanswered
from .protocols import Venue
from .reconcile import Reconciliation
from .records import Fact, Level, Policy, policy_of
from .seat import NEVER
from .shell import carry_out, log, named

__all__ = ["Chase", "Recovery", "reconcile", "recover"]

OVERLAP = HOUR
"""How far before the last known fact the venue is asked from: what came late then is found, what is known changes nothing."""
LATEST_LINE = DAY
"""How long after a coin moved a venue's own ledger may first speak of it; lines that explained something are known."""
LOOKS = 5
"""How often the venue is asked again when something happened while it was asked."""


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

    def __str__(self) -> str:
        orders = ", ".join(f"{name} {status}" for name, status in self.resolved.items()) or "none"
        asked = ", ".join(f"{name} from {since} ns on" for name, since in self.since.items())
        lines = [
            f"asked {asked}: {self.booked} facts booked, {self.foreign} in quarantine",
            f"orders that might have been open: {orders}",
        ]
        lines += [f"open at the venue and none of ours: {', '.join(self.strangers)}"] if self.strangers else []
        return "\n".join([*lines, *map(str, self.reconciliations), f"then {self.policy}, {len(self.commands)} commands"])

    __repr__ = __str__


async def recover(desk: Desk, *venues: Venue, policy: Policy = Policy.RESUME, by: str = "recover") -> Recovery:
    """Bring a desk that was opened on a journal with records to where its venues are; then its engines may run.

    Books every fact that the journal does not have, looks up each order that may be open, and reconciles. Nothing is
    traded meanwhile; cancels that follow are sent at the end. `policy` says what sleeves do then. A `Recovered` record
    keeps what was found.

    Raises `VaultError` when nothing is to be recovered, or a sleeve with open orders or positions has no engine;
    `VenueUnavailable` when a venue does not answer: the desk then still waits to be recovered, and this may be called
    again. What was booked by then stays booked.
    """
    by_name = named(venues, "recover")
    policy = policy_of(policy)
    _check(desk)
    ours = desk.open_orders()
    at = {order.id: _venues_of(order, by_name) for order in ours}
    wallets = _wallets(desk, venues)
    since, before = _since(desk, venues), len(desk.books.facts)
    later = _Later()
    for venue in venues:
        await _catch_up(desk, venue, since[venue.name], later)
    strangers: list[str] = []
    for venue in venues:
        strangers += [report.order_id for report in await venue.open_orders() if report.order_id not in at]
    for order in ours:
        if not desk.status_of(order.id).done:
            await _look_up(desk, at[order.id], order, later)
    resolved = {order.id: desk.status_of(order.id) for order in ours}
    reconciliations = [await _reconcile(desk, wallet, some, since, by, later) for wallet, some in wallets.items()]
    found = _words(desk, since, len(desk.books.facts) - before, resolved, strangers, reconciliations)
    commands = list(dict.fromkeys([*later.commands, *desk.recovered(policy=policy, found=found, by=by)]))
    await carry_out(desk, commands, venues[0] if len(venues) == 1 else None, by_name)
    foreign = sum(map(len, desk.books.quarantine.values()))
    booked = len(desk.books.facts) - before
    return Recovery(since, booked, foreign, resolved, tuple(strangers), tuple(reconciliations), policy, tuple(commands))


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


async def _catch_up(desk: Desk, venue: Venue, since: int, hands: _Hands) -> None:
    """Book what the venue says has happened, each fact once."""
    for fact in await venue.history(since):
        await hands(desk.step(fact))


async def _look_up(desk: Desk, venues: Sequence[Venue], order: Order, hands: _Hands) -> None:
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


async def reconcile(desk: Desk, *venues: Venue, by: str = "reconcile") -> tuple[Reconciliation, ...]:
    """Hold the books against what the venues say, beside a running desk or between two runs; see `Desk.reconcile`.

    Facts that were not told yet are booked first, and orders that the venues no longer have are looked up. Raises
    `VenueUnavailable` when a venue does not answer, or its account moved each time that it was looked at, and `VaultError`
    for a venue of no wallet here.
    """
    by_name = named(venues, "reconcile")
    wallets, hands = _wallets(desk, venues), _AtOnce(desk, by_name)
    await _look_for_lost(desk, by_name, hands)
    return tuple([await _reconcile(desk, wallet, some, _since(desk, some), by, hands) for wallet, some in wallets.items()])


async def _look_for_lost(desk: Desk, by_name: Mapping[str, Venue], hands: _Hands) -> None:
    """Orders that are open here and not there: their end was never heard."""
    before = desk.open_orders()
    there = {report.order_id for venue in by_name.values() for report in await venue.open_orders()}
    open_now = {order.id for order in desk.open_orders()}
    for order in before:
        named_here = not order.place.instrument.venue or order.place.instrument.venue in by_name or len(by_name) == 1
        if order.id not in there and order.id in open_now and named_here:
            await _look_up(desk, _venues_of(order, by_name), order, hands)


async def _reconcile(desk: Desk, wallet: str, venues: Sequence[Venue], since: Mapping[str, int], by: str, hands: _Hands) -> Reconciliation:
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
        flows: list[CashFlow] = []
        for venue in venues:
            for code, amount in (await venue.balances()).items():
                balances[code] = amount if code not in balances else balances[code] + amount
            positions |= await venue.positions()
            flows += await venue.cash_flows(lines_since)
        news = await _news(desk, venues, since)
        if not news and seen == (books.changes, len(books.facts), sum(map(len, books.quarantine.values()))):
            found, more = desk.reconcile(balances, flows, positions=positions, wallet=wallet, by=by)
            await hands(more)
            return found
    raise VenueUnavailable(f"the account at {', '.join(v.name for v in venues)} moved each of {LOOKS} times that it was looked at")


async def _news(desk: Desk, venues: Sequence[Venue], since: Mapping[str, int]) -> bool:
    """Whether something has happened that is not booked and not in quarantine."""
    for venue in venues:
        facts = await venue.history(since[venue.name])
        if any(_is_news(desk, fact) for fact in facts):
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
                text = f"{order.id} was sent and is not found for {self._patience:g} s: what it holds stays held"
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
