"""A desk commanded from outside: each instruction is carried out at most once, and answered in time and truthfully.

    control = Control(desk, venue)
    answer = await control.do(Deposit("r-1", "ann", vault="core:main:USD", amount="100"))

An instruction is journaled before anything of it is done, and its answer after. The same id again does nothing and is
answered the same, whether at once, while the first is under way, or after a restart. One that was cut off by a crash is
answered `unknown`, with what the journal has of it, and is never done again.

Every refusal is an answer with a code and its numbers. What is raised is misuse, and a journal that could not keep
something: then the desk is dead. Which instructions there are is said in `instructions`; who may give them is not known here.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from math import inf
from types import TracebackType
from typing import Any, cast
from weakref import WeakKeyDictionary

import anyio
from anyio.abc import TaskGroup

from ..books import Books
from ..desk import Desk
from ..errors import (
    JournalError,
    NotEnough,
    VaultError,
    VenueRejected,
    VenueUnavailable,
    VenueUnknown,
)
from ..instructions import Answer, Cancel, Close, CloseAll, Code, Disarm, Instruction, Kill, Pause, Stop, from_terms, to_terms, what_of
from ..journal import Memory
from ..market import Instrument
from ..orders import CancelOrder, Command, Order, SettlePnl, SubmitOrder, Transfer
from ..protocols import Venue
from ..records import Answered, Instructed, Record
from ..shell import carry_out, named, real_money
from .acts import ACTS
from .case import CODES, STANDING, Case, Deed, No, Told
from .stands import stands, under_way

__all__ = ["Control"]

log = logging.getLogger("sleeves.control")
log.addHandler(logging.NullHandler())

STOPS = (Kill, Stop, Pause, Disarm)
"""What stops waits for no other instruction, and counts apart."""
EXITS = (*STOPS, Close, CloseAll, Cancel)
"""What closes or takes off counts with it: a busy second is never in its way."""


class Control:
    """Who takes instructions for a desk, beside `live.trade` or between two runs.

    `venues` are those that the desk trades at. `do` always answers within `within` seconds, and takes at most
    `most_per_second` new instructions in one second (as many again of those that stop something).

    Entered, `async with Control(...) as control`, what takes longer is finished behind the answer, and at the end waited
    for as long again; otherwise it is broken off: what was sent is of unknown fate then and asked after by `trade`, what was
    not never left.

    Raises `VaultError` for what is no desk, venues of one name, and numbers that make no sense.
    """

    def __init__(
        self,
        desk: Desk,
        *venues: Venue,
        within: float = 5.0,
        most_per_second: int = 20,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not isinstance(desk, Desk):
            raise VaultError(f"Control(desk, venue): the first is a Desk, not {desk!r}")
        if isinstance(within, bool) or not isinstance(within, (int, float)) or not 0.001 <= within < inf:
            raise VaultError(f"within {within!r} must be a number of seconds, 0.001 or more")
        if type(most_per_second) is not int or most_per_second < 1:
            raise VaultError(f"most_per_second {most_per_second!r} must be a whole number, at least 1")
        self._desk = desk
        self._venues = named(venues, "Control")
        desk.meet(real_money(venues))
        self._within = float(within)
        self._most = most_per_second
        self._clock = clock
        self._register = _register_of(desk.books)
        self._tasks: TaskGroup | None = None
        self._behind = 0
        """How many instructions have tasks of their own now."""
        self._done: anyio.Event | None = None
        """What who leaves waits for."""

    async def __aenter__(self) -> Control:
        if self._tasks is not None:
            raise VaultError("this control is entered already")
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None) -> bool | None:
        assert self._tasks is not None
        tasks, self._tasks = self._tasks, None
        if error is None:
            try:
                with anyio.move_on_after(self._within):
                    while self._behind:
                        self._done = anyio.Event()
                        await self._done.wait()
            except BaseException as raised:  # the group was canceled, by a task of its own or from outside
                return await tasks.__aexit__(type(raised), raised, raised.__traceback__)
            tasks.cancel_scope.cancel()
        return await tasks.__aexit__(kind, error, where)

    @property
    def desk(self) -> Desk:
        return self._desk

    @property
    def venues(self) -> Mapping[str, Venue]:
        """The venues that instructions are carried out at, by name."""
        return dict(self._venues)

    async def _go_on(self, case: Doing) -> None:
        """Carry an instruction out in a task of its own; who leaves waits for it, within the bound."""
        try:
            await case.run_behind()
        finally:
            self._behind -= 1
            if self._done is not None:
                self._done.set()

    # -- instructing ---------------------------------------------------------------------------------------------------

    async def do(self, instruction: Instruction) -> Answer:
        """Carry an instruction out and say what became of it, within the bound.

        Codes and their meaning are in `instructions.Code` and docs/how-to/command-it.md. What is still under way when the
        time is over is answered so; `outcome` waits for the rest. Raises `VaultError` for what is no instruction, and
        `JournalError` when the journal could not keep something.
        """
        if type(instruction) not in ACTS:
            raise VaultError(f"an instruction is one of sleeves.instructions, not {instruction!r}")
        register = self._register
        case = register.doing.get(instruction.id)
        if case is not None:
            return await self._join(case, instruction)
        known = register.instructed(instruction.id)
        if known is not None:
            return self._again(instruction, known)
        stops = isinstance(instruction, STOPS)
        if not register.admits(self._clock(), self._most, stops=isinstance(instruction, EXITS)):
            return Answer(
                instruction.id, Code.TOO_MANY, f"more than {self._most} instructions in a second", {"per_second": str(self._most)}
            )
        case = register.doing[instruction.id] = Doing(self._desk, self._venues, instruction, register)
        try:
            with anyio.move_on_after(self._within):
                if stops:
                    await self._run(case)
                else:
                    async with register.turn():
                        await self._run(case)
        finally:
            answer = self._close(case)
        if case.failed is not None:
            raise case.failed
        return answer

    async def _run(self, case: Doing) -> None:
        case.begin()
        if self._tasks is None:
            await case.run()
        else:
            self._behind += 1
            self._tasks.start_soon(self._go_on, case, name=f"sleeves instruction {case.instruction.id}")
            await case.over.wait()

    def _close(self, case: Doing) -> Answer:
        """The answer as things stand, kept; also when the caller has gone away meanwhile."""
        one, register = case.instruction, self._register
        try:
            if case.begun is None:
                return _busy(one)
            if case.failed is not None:
                return Answer(one.id, Code.UNKNOWN, "the journal failed")
            if case.answer is None:
                case.answer = case.stands(goes_on=self._tasks is not None)
            self._keep(case.begun, case.answer)
            return case.answer
        finally:
            case.told.set()
            if case.over.is_set() or self._tasks is None or case.begun is None:
                del register.doing[one.id]

    def _keep(self, asked: Instructed, answer: Answer) -> None:
        """Journal an answer: it is durable before anybody hears it."""
        books = self._desk.books
        said = Answered(books.time(), asked.id, answer.code.value, answer.message, answer.evidence)
        self._register.write(books, said)
        books.journal.flush()

    async def _join(self, case: Doing, instruction: Instruction) -> Answer:
        """The same request came in again while the first is under way."""
        if case.instruction != instruction:
            return _used(instruction)
        with anyio.move_on_after(self._within):
            await case.told.wait()
        if case.answer is not None:
            return case.answer
        return _busy(instruction) if case.begun is None else case.stands(goes_on=True)

    def _again(self, instruction: Instruction, known: Instructed) -> Answer:
        """It was instructed before: the answer of then."""
        if from_terms(known.terms) != instruction:
            return _used(instruction)
        answered = self._register.answered(known.id)
        if answered is not None:
            return _answer_of(answered)
        answer = self._cut_off(known)
        self._keep(known, answer)
        return answer

    # -- asking --------------------------------------------------------------------------------------------------------

    def find(self, request: str) -> Answer | None:
        """What is known now of an instruction by its id: how it stands by now, which may be more than it was answered. None for none."""
        case = self._register.doing.get(request) if isinstance(request, str) else None
        if case is not None and case.begun is not None:
            return case.stands(goes_on=True)
        known = self._register.instructed(request) if isinstance(request, str) else None
        if known is None:
            return None
        answered, later = self._register.answered(known.id), self._register.later.get(known.id)
        answer = later or (self._cut_off(known) if answered is None else _answer_of(answered))
        again = Case(self._desk, self._venues, from_terms(known.terms), self._register.told)
        again.traces = {name: value for name, value in answer.evidence.items() if name not in STANDING}
        return stands(again) if answer.code.open and again.left_traces(answer.code) else answer

    async def outcome(self, request: str, within: float | None = None) -> Answer:
        """What became of an instruction in the end: waits while it is under way, at most `within` seconds, and says how it stands.

        The bound is the control's own by default. Raises `VaultError` for an id that no instruction had.
        """
        answer = self.find(request)
        if answer is None:
            raise VaultError(f"no instruction {request!r} was ever given here")
        with anyio.move_on_after(self._within if within is None else within):
            while answer.code.open:
                await self._register.news()
                answer = self.find(request) or answer
        return answer

    def _cut_off(self, known: Instructed) -> Answer:
        """It was begun and never answered: what the journal has of it."""
        state = self._desk.books.state
        did = [] if state is None else state.instructed.get(known.author, [])
        evidence = {"did": "; ".join(did)} if did else {}
        for what in ("order", "transfer"):
            names = [one.removeprefix(f"{what} ") for one in did if one.startswith(f"{what} ")]
            evidence |= {f"{what}s" if what == "order" else what: " ".join(names)} if names else {}
        found = f"the journal has {len(did)} records of it" if did else "the journal has nothing of it"
        return Answer(known.id, Code.UNKNOWN, f"it was cut off before it was answered, and is not done again: {found}", evidence)


def _used(instruction: Instruction) -> Answer:
    return Answer(instruction.id, Code.ID_USED, "this request id had other content: nothing was done")


def _busy(instruction: Instruction) -> Answer:
    return Answer(instruction.id, Code.BUSY, "other instructions were under way all the time: nothing of this one was done")


def _answer_of(record: Answered) -> Answer:
    return Answer(record.id, Code(record.code), record.message, dict(record.evidence))


# -- what is known of the instructions of one set of books -------------------------------------------------------------------


class Register:
    """The instructions of one set of books, whichever control took them in: what each was, its answer, and whose turn it is."""

    def __init__(self, books: Books) -> None:
        self.journal = books.journal
        self.doing: dict[str, Doing] = {}
        self.sending: dict[str, anyio.Event] = {}
        """Orders that are on their way to a venue."""
        self.told = Told()
        self.later: dict[str, Answer] = {}
        """By request: what became of those that were finished behind their answer."""
        self._known: dict[str, tuple[Instructed, Answered | None]] = {}
        self._memory = isinstance(books.journal, Memory)
        self._times: dict[bool, deque[float]] = {False: deque(), True: deque()}
        self._waiters: list[anyio.Event] = []
        self._queue: deque[anyio.Event] = deque()
        self._taken = False
        if self._memory:  # one that outlives the process finds by key itself
            for record in books.journal:
                self._keep(record)
        books.listen(self._hear)

    def _hear(self, record: Record) -> None:
        if self._memory:
            self._keep(record)
        self.told.hear(record)
        waiters, self._waiters = self._waiters, []
        for one in waiters:
            one.set()

    def _keep(self, record: Record) -> None:
        if isinstance(record, Instructed):
            self._known[record.id] = record, None
        elif isinstance(record, Answered) and record.id in self._known:
            self._known[record.id] = self._known[record.id][0], record

    def write(self, books: Books, record: Instructed | Answered) -> None:
        """Journal what was instructed, or what was answered."""
        books.record(record)
        if self._memory:
            self._keep(record)

    async def news(self) -> None:
        """Until anything more is journaled."""
        event = anyio.Event()
        self._waiters.append(event)
        try:
            await event.wait()
        finally:
            if event in self._waiters:
                self._waiters.remove(event)

    def instructed(self, request: str) -> Instructed | None:
        if self._memory:
            return self._known[request][0] if request in self._known else None
        return cast("Instructed | None", self.journal.find(f"instruction|{request}"))

    def answered(self, request: str) -> Answered | None:
        if self._memory:
            return self._known[request][1] if request in self._known else None
        return cast("Answered | None", self.journal.find(f"answer|{request}"))

    def admits(self, now: float, most: int, *, stops: bool) -> bool:
        """Whether one more is within the rate; it is counted if so."""
        times = self._times[stops]
        while times and now - times[0] >= 1:
            times.popleft()
        if len(times) >= most:
            return False
        times.append(now)
        return True

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """One at a time, in the order in which they came.

        A lock of its own: those of anyio belong to one event loop, and this goes on from run to run.
        """
        if self._taken:
            event = anyio.Event()
            self._queue.append(event)
            try:
                await event.wait()
            except BaseException:
                if event.is_set():
                    self._pass_on()
                else:
                    self._queue.remove(event)
                raise
        self._taken = True
        try:
            yield
        finally:
            self._pass_on()

    def _pass_on(self) -> None:
        self._taken = bool(self._queue)
        if self._queue:
            self._queue.popleft().set()


_REGISTERS: WeakKeyDictionary[Books, Register] = WeakKeyDictionary()


def _register_of(books: Books) -> Register:
    register = _REGISTERS.get(books)
    if register is None:
        register = _REGISTERS[books] = Register(books)
    return register


# -- one instruction while it is carried out -----------------------------------------------------------------------------------


class Doing:
    """One instruction, from its coming in until it is answered, and carried out if that is later."""

    def __init__(self, desk: Desk, venues: Mapping[str, Venue], instruction: Instruction, register: Register) -> None:
        self.instruction = instruction
        self.deed = Deed(desk, venues, instruction, register.told, carry=self._carry)
        self.begun: Instructed | None = None
        self.found: Answer | None = None
        """What its act found; None where it is how it stands."""
        self.answer: Answer | None = None
        """What it was answered."""
        self.failed: JournalError | None = None
        self.over = anyio.Event()
        """It is carried out, or has failed."""
        self.told = anyio.Event()
        """It is answered."""
        self._register = register

    def begin(self) -> None:
        """Journal that it was instructed. Only then may anything of it be done."""
        one, books = self.instruction, self.deed.desk.books
        record = Instructed(books.time(), one.by, one.id, what_of(type(one)), to_terms(one))
        self._register.write(books, record)
        self.begun = record

    def stands(self, *, goes_on: bool) -> Answer:
        """How it stands now; `goes_on`: what is not carried out yet still will be."""
        try:
            if self.over.is_set():
                return self.found or stands(self.deed)
            if goes_on or self.deed.left_traces(Code.SENT):
                return under_way(self.deed)
        except JournalError:
            raise
        except Exception as error:
            return self._answer_to(error)
        return self.deed.say(Code.UNAVAILABLE, "the venue did not answer in time, and it was broken off: nothing of it was done")

    async def run(self) -> None:
        """Carry it out. What is refused becomes its answer; a bug does too, with its stack in the log."""
        try:
            self.found = await ACTS[type(self.instruction)](self.deed)
        except JournalError as error:
            self.failed = error
        except Exception as error:
            self.found = self._answer_to(error)
        self.over.set()

    async def run_behind(self) -> None:
        """The same in a task of its own, which may go on when the answer is given."""
        try:
            await self.run()
        finally:
            if self.told.is_set():
                self._register.later[self.instruction.id] = self.stands(goes_on=False)
                self._register.doing.pop(self.instruction.id, None)
        if self.failed is not None and self.told.is_set():
            raise self.failed

    def _answer_to(self, error: Exception) -> Answer:
        say = self.deed.say
        if isinstance(error, No):
            return say(error.code, str(error), **error.evidence)
        if isinstance(error, NotEnough):
            return say(Code.NOT_ENOUGH, str(error), free=error.free)
        for kind, code in CODES:
            if isinstance(error, kind):
                return say(code, str(error))
        what = what_of(type(self.instruction))
        log.error("%s %s by %s failed", what, self.instruction.id, self.instruction.by, exc_info=error)
        return say(Code.INTERNAL, f"{type(error).__name__}: {error}", error=type(error).__name__)

    async def _carry(self, commands: Sequence[Command]) -> None:
        """Have commands carried out, those of each venue in order and beside the others', and note what they led to."""
        deed = self.deed
        sent = [one.order.id for one in commands if isinstance(one, SubmitOrder)]
        off = [one.order.id for one in commands if isinstance(one, CancelOrder)]
        for kind, names in (("orders", sent), ("canceled", off)):
            if names:
                deed.traces[kind] = " ".join([*deed.traces.get(kind, "").split(), *names])
        wires = {name: cast(Venue, _Wire(venue, deed, self._register.sending)) for name, venue in deed.venues.items()}
        only = next(iter(wires.values())) if len(wires) == 1 else None
        parts: dict[str, list[Command]] = {}
        for command in commands:
            parts.setdefault("" if only is not None else _venue_of(command), []).append(command)
        failed: list[Exception] = []

        async def part(some: Sequence[Command]) -> None:
            try:
                await carry_out(deed.desk, some, only, wires)
            except Exception as error:
                failed.append(error)

        async with anyio.create_task_group() as tasks:
            for some in parts.values():
                tasks.start_soon(part, some)
        for error in sorted(failed, key=lambda one: not isinstance(one, JournalError)):
            raise error


class _Wire:
    """A venue as the commands of one instruction reach it: what it makes of each is noted on the way."""

    def __init__(self, venue: Venue, deed: Deed, sending: dict[str, anyio.Event]) -> None:
        self._venue, self._deed, self._sending = venue, deed, sending
        if callable(getattr(venue, "rehearse", None)):
            self.rehearse = self._rehearse

    def __getattr__(self, name: str) -> Any:
        return getattr(self._venue, name)

    async def submit(self, order: Order) -> None:
        self._sending[order.id] = anyio.Event()
        try:
            await self._note(order.id, self._venue.submit(order))
        finally:
            self._sending.pop(order.id).set()

    async def cancel(self, order: Order) -> None:
        sending = self._sending.get(order.id)
        if sending is not None:  # a cancel that overtakes its order finds nothing
            await sending.wait()
        await self._note(f"cancel {order.id}", self._venue.cancel(order))

    async def settle(self, instrument: Instrument) -> None:
        await self._note(instrument.symbol, self._venue.settle(instrument))

    async def transfer(self, transfer: Transfer) -> None:
        await self._note(transfer.id, self._venue.transfer(transfer))
        self._deed.told.sent.add(transfer.id)

    async def _rehearse(self, transfer: Transfer) -> None:
        await self._note(transfer.id, cast(Any, self._venue).rehearse(transfer))

    async def _note(self, name: str, done: Awaitable[None]) -> None:
        try:
            await done
        except (VenueRejected, VenueUnavailable, VenueUnknown) as error:
            self._deed.heard[name] = next(code for kind, code in CODES if isinstance(error, kind)), str(error)
            raise


def _venue_of(command: Command) -> str:
    if isinstance(command, Transfer):
        return command.venue
    return command.instrument.venue if isinstance(command, SettlePnl) else command.order.place.instrument.venue
