"""A trial: engines, vault, journal and a venue through all faults, decided by one seed, the laws checked after each step.

    print(Trial(7).run())

The same seed gives the same run, so a seed that fails is a command: `sleeves trial --seed 7`. The process is killed at
random instants, between a record and its command, inside of a group of records, while it recovers; its venue answers
late, twice, out of order or not at all; a human trades by hand on the same account. At the end all faults stop, and the
books must be what the venue holds, to the unit, with every order's fate known and none sent twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterable

import anyio
from attrs import Factory, define, frozen

from ..booking import Allowance
from ..books import Books
from ..desk import Desk
from ..errors import JournalError, SleevesError, VaultError, VenueUnavailable
from ..inside import SelfTrade
from ..ledger import Role
from ..market import HOUR, MINUTE, SECOND, FundingRate, Instrument, Kind
from ..money import SOL, USDC, Amount, Rounding
from ..orders import Bundle, Event, Intent, Order, OrderStatus, Place, Side
from ..policy import FLASH, QUIET, ProfitPolicy
from ..protocols import View
from ..recovery import Chase, reconcile, recover
from ..shell import carry
from ..state import State
from ..treasury import Treasury
from ..vault import CoreVault
from .driver import VirtualDriver
from .faults import Dice, Dying, Faults, FaultyVenue
from .models import Fees, Rules
from .tape import Tape

__all__ = ["Outcome", "Restless", "Trial"]

SPOT = Instrument("SOL/USDC", base=SOL, quote=USDC, tick="0.01", lot="0.01", min_qty="0.01", min_notional="1")
PERP = Instrument("SOL-PERP", base=SOL, quote=USDC, tick="0.01", lot="0.01", min_qty="0.01", kind=Kind.PERP)
POLICIES = (("quiet", QUIET), ("flash", FLASH), ("mixed", ProfitPolicy.above_high_water("50%")))
BEGIN = 1_700_000_000 * SECOND


@frozen
class Restless:
    """An engine that trades without reason: what it wishes is decided by its seed and the time alone."""

    name: str
    watches: tuple[Instrument, ...]
    seed: int
    often_ppm: int = 300_000
    every: int = 0

    def begin(self) -> None:
        """It remembers nothing, so that a restart changes nothing."""

    def decide(self, memory: None, view: View) -> Iterable[Intent] | None:  # noqa: ARG002 an engine's own form
        dice = Dice(self.seed ^ view.now)
        if not dice.hits(self.often_ppm):
            return None
        market = self.watches[dice.below(len(self.watches))]
        book = view.book_of(market)
        if book is None or view.orders() or view.bundles:
            return None
        if dice.hits(250_000):
            return self._together(view, dice)
        held = view.position(market)
        sells = held > 0 if market.contract is None else dice.hits(500_000)
        side = Side.SELL if sells else Side.BUY
        if held and (market.contract is None or dice.hits(400_000)):
            side, qty = (Side.SELL if held > 0 else Side.BUY), abs(held) * dice.between(1, 2) // 2
        else:
            qty = view.affordable(market, max(0, view.free()) * dice.between(1, 8) // 20)
        qty = market.round_qty(qty)
        limit = market.shift(book.bid, dice.between(-3_000, 3_000), Rounding.FLOOR) if dice.hits(400_000) else None
        return [Place(market, side, qty, limit=limit, reduce_only=market.contract is None and side is Side.SELL)] if qty > 0 else None

    def _together(self, view: View, dice: Dice) -> Iterable[Intent] | None:
        """A hedge is opened, or as much of one as there is closed."""
        spot, perp = (next((one for one in self.watches if one.kind is kind), None) for kind in Kind)
        if spot is None or perp is None or view.book_of(spot) is None or view.book_of(perp) is None:
            return None
        owned = perp.round_qty(min(view.sellable(spot), max(0, -view.position(perp))))
        if owned and dice.hits(500_000):
            legs = Place(perp, Side.BUY, owned, reduce_only=True), Place(spot, Side.SELL, owned)
        else:
            qty = perp.round_qty(view.affordable(spot, max(0, view.free()) * dice.between(1, 8) // 20))
            if not qty:
                return None
            legs = Place(perp, Side.SELL, qty), Place(spot, Side.BUY, qty)
        return [Bundle(legs, tries=dice.between(1, 2), rollback=dice.hits(700_000))]


@define
class Outcome:
    """What a trial came to. Printed, it is one line for each thing that was counted."""

    seed: int
    steps: int = 0
    crashes: int = 0
    records: int = 0
    orders: int = 0
    unknown: int = 0
    """Orders whose answer was lost."""
    given_up: int = 0
    """Of those, orders that never reached the venue, and a human said so at the end."""
    faults: Counter[str] = Factory(Counter)
    residuals: int = 0
    digest: str = ""

    def __str__(self) -> str:
        struck = ", ".join(f"{name} {times}" for name, times in sorted(self.faults.items()))
        return (
            f"seed {self.seed}: {self.steps} events, {self.records} records, {self.orders} orders ({self.unknown} of unknown fate, "
            f"{self.given_up} given up), {self.crashes} crashes, {self.residuals} residuals; {struck}"
        )


class Trial:
    """One run. `faults` are all of them by default, `rows` the length of the tape in minutes."""

    policies: tuple[tuple[str, ProfitPolicy], ...] = POLICIES
    """The sleeves, by name."""
    makes: type[Restless] = Restless
    """What sits at each of them."""

    def __init__(self, seed: int, *, rows: int = 400, faults: Faults | None = None, crash_ppm: int = 8_000, fails_ppm: int = 300) -> None:
        self.dice = Dice(seed)
        self.outcome = Outcome(seed)
        self._crash_ppm = crash_ppm
        tapes = [self._tape(SPOT, rows), self._tape(PERP, rows)]
        rules = Rules(Fees(1_000, 2_500), participation_ppm=None if self.dice.hits(500_000) else 300_000)
        driver = VirtualDriver(tapes, {"USDC": USDC("20000")}, rules, name="sim", wallet={"USDC": USDC("5000")})
        self.venue = FaultyVenue(driver, Faults.all() if faults is None else faults, self.dice)
        self.journal = self._begin()
        self.engines = {name: self.makes(name, (SPOT, PERP), self.dice.roll()) for name, _ in self.policies}
        self._self_trade = list(SelfTrade)[self.dice.below(3)]
        self.desk = self._open()
        self.journal.fails_ppm = fails_ppm
        self._state, self._hands = State(), 0
        self._seen_unknown: set[str] = set()
        self._given_up: set[str] = set()

    def run(self) -> Outcome:
        """Run it. Raises `AssertionError` with the seed when a law is broken, or anything else that should not come."""
        try:
            anyio.run(self._run)
        except (AssertionError, SleevesError, ArithmeticError, LookupError, TypeError, ValueError) as error:
            raise AssertionError(f"seed {self.outcome.seed}, event {self.outcome.steps}: {type(error).__name__}: {error}") from error
        return self.outcome

    # -- the house -----------------------------------------------------------------------------------------------------

    def _tape(self, market: Instrument, rows: int) -> Tape:
        """A random walk, with funding each hour for contracts: made up, to be traded on and nothing else."""
        price, table = 15_000, []
        for n in range(rows):
            first = price
            price = max(2_000, price + price * self.dice.between(-40, 40) // 10_000)
            spread = self.dice.below(30)
            high, low = max(first, price) + spread, min(first, price) - spread
            table.append((BEGIN + n * MINUTE, first, high, low, price, self.dice.between(100, 4_000)))
        at, *prices, volume = zip(*table, strict=True)
        names = ("open", "high", "low", "close")
        text = {name: [f"{one // 100}.{one % 100:02d}" for one in column] for name, column in zip(names, prices, strict=True)}
        open_, high_, low_, close = (text[name] for name in names)
        size = [str(one) for one in volume]
        tape = Tape.from_columns(market, ts=list(at), open=open_, high=high_, low=low_, close=close, volume=size, interval=MINUTE)
        if market.contract is None:
            return tape
        hours = range(BEGIN + HOUR, BEGIN + rows * MINUTE, HOUR)
        return tape.with_funding([FundingRate(market, when, self.dice.between(-300_000, 300_000), 15_000, HOUR) for when in hours])

    def _begin(self) -> Dying:
        """The journal of the first process. What a killed one leaves is its `rest`."""
        return Dying(self.dice)

    def _open(self) -> Desk:
        vault = CoreVault(USDC, total="20000", tradeable="15000", reserve="5%", cap="18000", books=Books(self.journal), at=BEGIN - SECOND)
        for name, policy in self.policies:
            vault.sleeve(name, policy, allocate=USDC.units(12_000_000_000 // len(self.policies)))
        return self._seat(self._desk(vault))

    def _desk(self, *vaults: CoreVault) -> Desk:
        return Desk(*vaults, allowance=Allowance.of(fee="0.5%"), tolerances={USDC: "1000000"}, self_trade=self._self_trade)

    def _seat(self, desk: Desk) -> Desk:
        for name, engine in self.engines.items():
            desk.assign(engine, to=desk.treasury.vaults[0].sleeves[name])
        return desk

    async def _crash(self) -> None:
        """The process is killed. It is started again, and killed while it recovers, until it once comes through."""
        while True:
            self.outcome.crashes += 1
            self.journal = self.journal.rest()
            if self.dice.hits(100_000):
                self.journal.save(State.fold(self.journal).dump())
            self._state = State()
            try:
                treasury = Treasury.reopen(Books(self.journal))
                self.desk = self._seat(self._desk(*treasury.vaults))
                while self.desk.recovering:
                    try:
                        await recover(self.desk, self.venue, retry_after=())
                    except VenueUnavailable:
                        assert self.desk.recovering
                    if self.dice.hits(self._crash_ppm):
                        break
            except JournalError:
                continue
            if not self.desk.recovering:
                return

    # -- the run -------------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        events: AsyncIterator[Event] | None = None
        while True:
            try:
                if events is None:
                    events = self.venue.events()
                event = await anext(events, None)
            except VenueUnavailable:
                events = None
                try:
                    await self._look()
                except JournalError:
                    await self._crash()
                continue
            if event is None:
                break
            self.outcome.steps += 1
            await self._take(event)
            self._check()
        await self._end()

    async def _take(self, event: Event) -> None:
        """One event, as the shell takes it in; the process may die at each point of it."""
        try:
            with self.journal.group():
                commands = self.desk.step(event)
                self._maybe_die()
                if commands:
                    await carry(self.desk, commands, self.venue)
                    self._maybe_die()
                if self.dice.hits(5_000):
                    await self._by_hand()
                if self.dice.hits(20_000):
                    await self._look()
                if self.dice.hits(10_000):
                    await self._command()
        except (_Killed, JournalError):
            await self._crash()
        self._seen_unknown.update(order.id for order in self.desk.in_doubt)

    def _maybe_die(self) -> None:
        if self.dice.hits(self._crash_ppm):
            raise _Killed

    async def _look(self) -> None:
        """What the shell does on a timer."""
        try:
            await Chase(self.desk, {self.venue.name: self.venue}, 60.0).once()
            await reconcile(self.desk, self.venue)
        except VenueUnavailable:
            pass

    async def _by_hand(self) -> None:
        """A human trades coins on the same account, behind the desk's back."""
        self._hands += 1
        held = (await self.venue.venue.balances())["SOL"].units
        side = Side.SELL if held and self.dice.hits(500_000) else Side.BUY
        qty = SPOT.lot_units * self.dice.between(1, 20)
        await self.venue.venue.submit(Order(f"hand-{self._hands}", "", Place(SPOT, side, qty), self.desk.books.now))

    async def _command(self) -> None:
        """The owner does something."""
        vault = self.desk.treasury.vaults[0]
        sleeve = vault.sleeves[self.policies[self.dice.below(len(self.policies))][0]]
        try:
            match self.dice.below(9):
                case 0:
                    await carry(self.desk, self.desk.kill(sleeve, flatten=self.dice.hits(500_000), by="owner"), self.venue)
                case 1 | 2:
                    await carry(self.desk, self.desk.revive(sleeve, by="owner", why="again"), self.venue)
                    sleeve.resume(by="owner")
                case 3:
                    sleeve.clear(by="owner", why="looked")
                    sleeve.resume(by="owner")
                case 4:
                    await carry(self.desk, self.desk.deposit(vault, Amount(self.dice.between(1, 10**8), USDC)), self.venue)
                case 5:
                    await carry(self.desk, self.desk.withdraw(vault, Amount(self.dice.between(1, 10**8), USDC), by="owner"), self.venue)
                case 6:
                    vault.reclaim(sleeve, Amount(self.dice.between(1, 10**8), USDC), by="owner")
                case 7:
                    for order in self.desk.in_doubt[:1]:
                        self._given_up.add(order.id)
                        await carry(self.desk, self.desk.give_up(order.id, by="owner", why="it was not to be found"), self.venue)
                        self.outcome.given_up += 1
                case _:
                    for residual in list(self.desk.books.residuals.values())[:1]:
                        self.desk.adopt(residual, vault if self.dice.hits(500_000) else sleeve, by="owner", why="looked into it")
        except VaultError:
            pass

    # -- the laws ------------------------------------------------------------------------------------------------------

    def _check(self) -> None:
        self.desk.check().require()
        for record in self.journal.after(self._state.count):
            self._state.apply(record)
        cells = [cell for name in self.engines for cell in self.desk.books.ledger.cells(name)]
        held = {account.of for account, _, units in cells if account.role is Role.HELD and units}
        waiting = {order.id for order in self.desk.open_orders()} | {flight.record.id for flight in self.desk.bundles}
        assert held <= waiting, f"held for orders that are done: {held - waiting}"
        for what in self.venue.on_the_way:
            known = what.id in self._given_up or not isinstance(what, Order) or not self.desk.status_of(what.id).done
            assert known, f"{what.id} is on its way and was taken for done"
        twice = [name for name, times in self.venue.sent.items() if times > 1]
        assert not twice, f"sent twice: {twice}"

    async def _end(self) -> None:
        """No more faults: what is late arrives, all is asked for, and everything must agree."""
        self.venue.calm()
        self.journal.fails_ppm = 0
        await self.venue.arrive()
        await self._settle_down()
        for order in self.desk.in_doubt:
            assert await self.venue.look_up(order) is None, f"{order.id} is known to the venue and unknown here"
            assert self.venue.arrived[order.id] == 0, f"{order.id} arrived and is not found"
            await carry(self.desk, self.desk.give_up(order.id, by="owner", why="the venue never had it"), self.venue)
            self.outcome.given_up += 1
        await self._settle_down()
        self._check()
        balances = dict(await self.venue.balances())
        self.desk.check(balances, positions=await self.venue.positions(), deep=True).require()
        for order in self.desk.open_orders():
            assert self.desk.status_of(order.id) in (OrderStatus.OPEN, OrderStatus.SUBMITTED), f"{order.id} is still of unknown fate"
            report = await self.venue.look_up(order)
            assert report is not None, f"{order.id} is open here and unknown to the venue"
            assert report.status is OrderStatus.OPEN, f"{order.id} is open here and {report.status} at the venue"
        self.desk.mark(self.desk.books.now)
        for name in self.engines:
            assert self.desk.explain(name).exact, f"the equity of {name} is not explained"
        State.fold(self.journal)
        outcome = self.outcome
        outcome.records, outcome.orders, outcome.unknown = len(self.journal), len(self.venue.sent), len(self._seen_unknown)
        outcome.faults, outcome.residuals, outcome.digest = self.venue.struck, self.desk.books.found, self.journal.digest()

    async def _settle_down(self) -> None:
        """Ask for everything until nothing new is heard."""
        for _ in range(6):
            async for event in self.venue.events():
                await carry(self.desk, self.desk.step(event), self.venue)
            await Chase(self.desk, {self.venue.name: self.venue}, 60.0).once()
            for order in self.desk.open_orders():
                report = await self.venue.look_up(order)
                if report is not None:
                    await carry(self.desk, self.desk.step(report), self.venue)
            await reconcile(self.desk, self.venue)


class _Killed(Exception):
    """The process is no more."""
