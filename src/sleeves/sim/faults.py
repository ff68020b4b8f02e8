"""Faults on purpose: any venue behind a bad wire, and a journal that dies. Seeded: the same seed, the same faults.

    venue = FaultyVenue(VirtualDriver(tape, balances), Faults.all(), Dice(7))

What the wrapped venue does is never changed, only what is heard of it and when: it stays the truth that books are held
against. `Dying` is a journal in memory that loses what was not flushed, as a process that is killed does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager

from attrs import evolve, fields, frozen

from ..errors import JournalError, VenueUnavailable, VenueUnknown
from ..facts import CashFlow, FlowKind
from ..journal import Memory
from ..market import Instrument, Quote
from ..money import Amount
from ..orders import Event, Order, OrderReport, Position, Transfer
from ..protocols import Venue
from ..records import Fact, Record

__all__ = ["Dice", "Dying", "Faults", "FaultyVenue"]

_MASK = (1 << 64) - 1


class Dice:
    """Numbers that a seed decides, the same on every machine and version (SplitMix64)."""

    def __init__(self, seed: int) -> None:
        self._state = seed & _MASK

    def roll(self) -> int:
        """64 bits."""
        self._state = (self._state + 0x9E3779B97F4A7C15) & _MASK
        z = self._state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
        return z ^ (z >> 31)

    def below(self, n: int) -> int:
        """0 to n - 1."""
        return self.roll() % n

    def between(self, low: int, high: int) -> int:
        """`low` to `high`, both of them too."""
        return low + self.below(high - low + 1)

    def hits(self, ppm: int) -> bool:
        """True `ppm` times in a million."""
        return self.below(1_000_000) < ppm


@frozen
class Faults:
    """How often each fault strikes, in parts per million of the calls or events that it may strike."""

    answer_lost: int = 0
    """A command is carried out and its answer lost: `VenueUnknown`."""
    request_lost: int = 0
    """A command is lost on its way, and its sender does not know: `VenueUnknown`, and nothing was done."""
    request_late: int = 0
    """The same, but it arrives some events later."""
    unavailable: int = 0
    """A command is not sent: `VenueUnavailable`."""
    query_fails: int = 0
    """A question is not answered (a 503, a body that is no JSON): `VenueUnavailable`."""
    duplicate: int = 0
    """An event is told again, up to four times, at once or later."""
    delayed: int = 0
    """An event is told some events later, so after what came after it."""
    event_lost: int = 0
    """An event is never told: only the venue's history has it."""
    disconnect: int = 0
    """The feed breaks: `VenueUnavailable`. Asked for events again, it goes on, and what was in between is lost."""
    clock_back: int = 0
    """A price bears a time up to a minute before the one it has."""
    jump: int = 0
    """The balance of a coin jumps, for a reason of the world's own, with or without a line in the venue's ledger."""

    @classmethod
    def all(cls, ppm: int = 50_000) -> Faults:
        """Every fault, each this often; the rude ones a tenth as often."""
        rude = {"disconnect": ppm // 10, "jump": ppm // 10}
        return cls(**{one.name: rude.get(one.name, ppm) for one in fields(cls)})


class FaultyVenue:
    """A venue heard through faults. `sent` counts how often each order id was handed in, `arrived` how often it came through.

    Take `calm()` to have no more faults: what is late arrives then, what is lost stays lost.
    """

    def __init__(self, venue: Venue, faults: Faults, dice: Dice) -> None:
        self.venue = venue
        self.faults = faults
        self.dice = dice
        self.sent: Counter[str] = Counter()
        self.arrived: Counter[str] = Counter()
        self.struck: Counter[str] = Counter()
        """How often each fault struck."""
        self._feed: AsyncIterator[Event] | None = None
        self._late: list[tuple[int, Event]] = []
        self._on_the_way: list[tuple[int, Order | Transfer]] = []
        self._told = 0
        self._jumps: dict[str, Amount] = {}
        self._flows: list[CashFlow] = []
        self._now = 0

    @property
    def name(self) -> str:
        return self.venue.name

    @property
    def lockstep(self) -> bool:
        """Whether the venue behind the faults waits for the desk."""
        return bool(getattr(self.venue, "lockstep", False))

    @property
    def real_money(self) -> bool:
        """Whether the venue behind the faults moves real money."""
        return bool(getattr(self.venue, "real_money", True))

    @property
    def on_the_way(self) -> list[Order | Transfer]:
        """What was sent and will arrive later."""
        return [what for _, what in self._on_the_way]

    def calm(self) -> None:
        """No more faults from here on."""
        self.faults = Faults()

    def _strikes(self, fault: str) -> bool:
        if self.dice.hits(getattr(self.faults, fault)):
            self.struck[fault] += 1
            return True
        return False

    # -- what is heard -------------------------------------------------------------------------------------------------

    async def events(self) -> AsyncIterator[Event]:
        if self._feed is None:
            self._feed = self.venue.events()
        async for event in self._feed:
            self._told += 1
            await self._arrivals()
            for told in self._hear(event):
                yield told
            if self._strikes("disconnect"):
                self._late.clear()
                raise VenueUnavailable(f"{self.name}: the connection was lost")
        while self._late:
            yield self._late.pop(0)[1]

    def _hear(self, event: Event) -> Iterator[Event]:
        due = [late for at, late in self._late if at <= self._told]
        self._late = [(at, late) for at, late in self._late if at > self._told]
        if isinstance(event, Quote):
            yield from due
            self._now = event.at
            self._jump(event)
            yield evolve(event, at=event.at - self.dice.below(60_000_000_000)) if self._strikes("clock_back") else event
            return
        if self._strikes("event_lost"):
            yield from due
            return
        if self._strikes("delayed"):
            self._late.append((self._told + self.dice.between(1, 30), event))
        else:
            yield event
        for _ in range(self.dice.between(1, 4) if self._strikes("duplicate") else 0):
            if self.dice.hits(500_000):
                yield event
            else:
                self._late.append((self._told + self.dice.below(10), event))
        yield from due

    def _jump(self, quote: Quote) -> None:
        """Coins come or go: small sums, so that the venue itself still has what it counts on."""
        if not self._strikes("jump"):
            return
        asset = quote.instrument.quote
        amount = Amount(self.dice.between(-1_000, 5_000), asset)
        if not amount.units:
            return
        self._jumps[asset.code] = self._jumps.get(asset.code, asset.zero) + amount
        if self.dice.hits(500_000):
            kind = FlowKind.REWARD if amount.units > 0 else FlowKind.OTHER
            self._flows.append(CashFlow(quote.at, amount, kind, f"jump-{len(self._flows)}", venue=self.name))

    # -- what is sent --------------------------------------------------------------------------------------------------

    async def submit(self, order: Order) -> None:
        self.sent[order.id] += 1
        if self._strikes("unavailable"):
            raise VenueUnavailable(f"{self.name}: no route")
        if self._strikes("request_lost"):
            raise VenueUnknown(f"{self.name}: timed out")
        if self._strikes("request_late"):
            self._on_the_way.append((self._told + self.dice.between(1, 40), order))
            raise VenueUnknown(f"{self.name}: timed out")
        self.arrived[order.id] += 1
        await self.venue.submit(order)
        if self._strikes("answer_lost"):
            raise VenueUnknown(f"{self.name}: timed out")

    async def _arrivals(self) -> None:
        due = [what for at, what in self._on_the_way if at <= self._told]
        self._on_the_way = [(at, what) for at, what in self._on_the_way if at > self._told]
        for what in due:
            if isinstance(what, Order):
                self.arrived[what.id] += 1
                await self.venue.submit(what)
            else:
                await self.venue.transfer(what)

    async def arrive(self) -> None:
        """Let everything that is late come through now."""
        self._on_the_way = [(0, what) for _, what in self._on_the_way]
        await self._arrivals()

    async def cancel(self, order: Order) -> None:
        self._before()
        await self.venue.cancel(order)
        self._behind()

    async def settle(self, instrument: Instrument) -> None:
        self._before()
        await self.venue.settle(instrument)
        self._behind()

    async def transfer(self, transfer: Transfer) -> None:
        if self._strikes("request_late"):
            self._on_the_way.append((self._told + self.dice.between(1, 40), transfer))
            raise VenueUnknown(f"{self.name}: timed out")
        self._before()
        await self.venue.transfer(transfer)
        self._behind()

    async def rehearse(self, transfer: Transfer) -> None:
        self._ask()
        rehearse = getattr(self.venue, "rehearse", None)
        if rehearse is not None:
            await rehearse(transfer)

    def _before(self) -> None:
        if self._strikes("unavailable"):
            raise VenueUnavailable(f"{self.name}: no route")
        if self._strikes("request_lost"):
            raise VenueUnknown(f"{self.name}: timed out")

    def _behind(self) -> None:
        if self._strikes("answer_lost"):
            raise VenueUnknown(f"{self.name}: timed out")

    # -- what is asked -------------------------------------------------------------------------------------------------

    def _ask(self) -> None:
        if self._strikes("query_fails"):
            raise VenueUnavailable(f"{self.name}: " + ("HTTP 503" if self.dice.hits(500_000) else "the body is no JSON"))

    async def look_up(self, order: Order) -> OrderReport | None:
        self._ask()
        return await self.venue.look_up(order)

    async def open_orders(self) -> Sequence[OrderReport]:
        self._ask()
        return await self.venue.open_orders()

    async def balances(self) -> Mapping[str, Amount]:
        self._ask()
        balances = dict(await self.venue.balances())
        for code, jump in self._jumps.items():
            balances[code] = balances[code] + jump if code in balances else jump
        return balances

    async def positions(self) -> Mapping[str, Position]:
        self._ask()
        return await self.venue.positions()

    async def history(self, since: int) -> Sequence[Fact]:
        self._ask()
        return await self.venue.history(since)

    async def cash_flows(self, since: int) -> Sequence[CashFlow]:
        self._ask()
        lines = [*await self.venue.cash_flows(since), *(line for line in self._flows if line.at >= since)]
        return sorted(lines, key=lambda line: line.at)

    async def aclose(self) -> None:
        if isinstance(self._feed, AsyncGenerator):
            await self._feed.aclose()


class Dying(Memory):
    """A journal in memory that can be killed: `rest` is what a process finds that opens it again.

    Within `group` only what was flushed is sure to be there; of what came after, whole appends may be there or not.
    `fails_ppm` of the appends raise, and what they held may be there or not.
    """

    def __init__(self, dice: Dice, fails_ppm: int = 0) -> None:
        super().__init__()
        self._dice = dice
        self.fails_ppm = fails_ppm
        """How often an append raises, in parts per million."""
        self._durable = 0
        self._ends: list[int] = []
        self._grouped = 0
        self._failed = False

    def append(self, *records: Record) -> None:
        if self._failed:
            raise JournalError("the journal takes no more since its storage failed: open it again and recover")
        if self._dice.hits(self.fails_ppm):
            self._failed = True
            super().append(*records)
            self._ends.append(len(self))
            raise JournalError("disk I/O error: the last records may be there or not")
        super().append(*records)
        self._ends.append(len(self))
        if not self._grouped:
            self._durable = len(self)

    @contextmanager
    def _group(self) -> Iterator[None]:
        self._grouped += 1
        try:
            yield
        except BaseException:
            self._grouped -= 1  # killed: nothing more is written
            raise
        self._grouped -= 1
        if not self._grouped and not self._failed:
            self.flush()

    def group(self) -> AbstractContextManager[object]:
        return self._group()

    def flush(self) -> None:
        if self._failed:
            raise JournalError("the journal takes no more since its storage failed: open it again and recover")
        self._durable = len(self)
        self._ends.clear()

    @property
    def waiting(self) -> int:
        return len(self) - self._durable

    def rest(self) -> Dying:
        """What is found after a crash: all that was durable, and of the rest a part, whole appends from the first on."""
        ends = [self._durable, *(end for end in self._ends if end > self._durable)]
        kept = ends[self._dice.below(len(ends))]
        again = Dying(self._dice, self.fails_ppm)
        again._kept = list(self._records[:kept])
        again._durable = kept
        snapshot = self.load()
        if snapshot is not None and snapshot[0] <= kept:
            again._snapshot = snapshot
        return again
