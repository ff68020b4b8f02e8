"""What a page's message comes to, whichever wire it came by: previews, tickets, instructions, answers, rates.

    clerk = Clerk(desk, control)
    visitor = clerk.visit("s-1", by="ann")
    await visitor.hear(data, tell)          # tell(message) is called with each answer

An instruction that takes risk or moves money needs a ticket, which its preview gives: random, for these very terms of this
visitor, good for half a minute and for once. Without a control nothing is taken but questions. Who may visit is `guard`'s to say;
how a feed goes on after `hello` and `resync` is the wire's.
"""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping

import anyio
from attrs import frozen

from ..control import Control
from ..desk import Desk
from ..errors import VaultError
from ..instructions import Answer as Answered
from ..instructions import Instruction, to_terms
from .guard import Rate, Rates
from .messages import (
    Answer,
    Ask,
    BadMessage,
    Do,
    Hello,
    Message,
    Ping,
    Pong,
    Preview,
    Previewed,
    Refused,
    Resync,
    from_json,
    instruction_of,
)
from .preview import STOPS, look

__all__ = ["Clerk", "Tell", "Tickets", "Visit"]

Tell = Callable[[Message], object]
"""Takes what is to be told to a page, in order; it must not wait."""

TICKET_LASTS = 30.0
"""How long a ticket is good, in seconds."""
PER_SECOND, BURST = 20.0, 40.0
"""Messages of one visit in a second, and at once after a rest."""
PREVIEWS_PER_SECOND, PREVIEW_BURST = 5.0, 10.0
"""Previews of one session in a second: they cost more, and lead to nothing by themselves."""
OUTCOME_WITHIN = 600.0
"""How long the outcome of an instruction is waited for after its answer, in seconds; `ask` tells it later as well."""


@frozen(order=False)
class _Ticket:
    session: str
    terms: tuple[tuple[str, str], ...]
    until: float


class Tickets:
    """What a preview gave, and what it is good for: one session, these terms, once, and not for long."""

    MOST = 4_096
    """The most that are remembered; the oldest are let go."""

    def __init__(self, lasts: float = TICKET_LASTS, clock: Callable[[], float] = time.monotonic) -> None:
        self.lasts = lasts
        self._clock = clock
        self._given: OrderedDict[str, _Ticket] = OrderedDict()

    def give(self, session: str, instruction: Instruction) -> str:
        """A ticket for this instruction by this session."""
        now = self._clock()
        while self._given and (len(self._given) >= self.MOST or now >= next(iter(self._given.values())).until):
            self._given.popitem(last=False)
        name = secrets.token_urlsafe(24)
        self._given[name] = _Ticket(session, _terms(instruction), now + self.lasts)
        return name

    def take(self, name: str | None, session: str, instruction: Instruction) -> str:
        """Use a ticket up: nothing, or why it is not good for this: `needs_ticket`, `ticket_expired`, `ticket_mismatch`."""
        if name is None:
            return "needs_ticket"
        ticket = self._given.get(name)
        if ticket is None or self._clock() >= ticket.until:
            self._given.pop(name, None)
            return "ticket_expired"
        if ticket.session != session or ticket.terms != _terms(instruction):
            return "ticket_mismatch"
        del self._given[name]
        return ""


def _terms(instruction: Instruction) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(to_terms(instruction).items()))


_WHY = {
    "needs_ticket": "this takes risk or moves money: ask for a preview, and send the ticket that it gives",
    "ticket_expired": "the ticket is used, or older than {lasts:g} s: ask for a preview anew",
    "ticket_mismatch": "the ticket was given for something else: ask for a preview of this",
}


class Clerk:
    """Who hears pages for a desk, through a `control` or, without one, for questions alone.

    `clock` is monotonic, `now` gives seconds since 1970. Raises `VaultError` for a control of another desk.
    """

    def __init__(
        self,
        desk: Desk,
        control: Control | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        if control is not None and (not isinstance(control, Control) or control.desk is not desk):
            raise VaultError(f"control is a Control of this desk, not {control!r}")
        self.desk = desk
        self.control = control
        self.tickets = Tickets(clock=clock)
        self._previews = Rates(PREVIEWS_PER_SECOND, PREVIEW_BURST, clock)
        self._clock = clock
        self._now = now

    def visit(self, session: str, by: str, *, rate: bool = True) -> Visit:
        """One wire's visit: `session` is whose tickets they are, `by` who instructs. With `rate` its messages are counted."""
        return Visit(self, session, by, Rate(PER_SECOND, BURST, self._clock) if rate else None)

    # -- one thing at a time -------------------------------------------------------------------------------------------

    def preview(self, message: Preview, session: str, by: str) -> Previewed | Refused:
        """What an instruction would do, with a ticket where it needs one and makes sense to be sent."""
        if self.control is None:
            return _read_only(_id_of(message))
        try:
            instruction = instruction_of(message, by)
        except BadMessage as error:
            return _refused(error)
        if not self._previews.take(session):
            return Refused(instruction.id, "too_fast", f"more than {PREVIEWS_PER_SECOND:g} previews in a second")
        found = look(self.desk, self.control.venues, instruction)
        ticket, expires = None, None
        if found.may_be_sent and not isinstance(instruction, STOPS):
            ticket = self.tickets.give(session, instruction)
            expires = int((self._now() + self.tickets.lasts) * 1_000)
        return Previewed(
            instruction.id,
            found.ok,
            found.code,
            found.message,
            found.numbers,
            found.before,
            found.after,
            found.warnings,
            ticket,
            expires,
        )

    async def do(self, message: Do, session: str, by: str) -> Answer | Refused:
        """Carry out an instruction that is allowed to be, and say what it was answered."""
        if self.control is None:
            return _read_only(_id_of(message))
        try:
            instruction = instruction_of(message, by)
        except BadMessage as error:
            return _refused(error)
        # what was instructed before is never done again, so its answer may be asked for with any ticket or none
        if not isinstance(instruction, STOPS) and self.control.find(instruction.id) is None:
            wrong = self.tickets.take(message.ticket, session, instruction)
            if wrong:
                return Refused(instruction.id, wrong, _WHY[wrong].format(lasts=self.tickets.lasts))  # type: ignore[arg-type]
        with anyio.CancelScope(shield=True):  # a page that hangs up breaks off nothing; a control answers within its bound
            answer = await self.control.do(instruction)
        return told(answer)

    def ask(self, request: str) -> Answer | Refused:
        """How an instruction stands by now."""
        if self.control is None:
            return _read_only(request)
        answer = self.control.find(request)
        return _stranger(request) if answer is None else told(answer)

    async def outcome(self, request: str, within: float = OUTCOME_WITHIN) -> Answer:
        """What became of an instruction in the end, or how it stands then."""
        if self.control is None:
            raise VaultError("there is no control here, so nothing was instructed")
        return told(await self.control.outcome(request, within))


class Visit:
    """One wire's visit to a clerk."""

    def __init__(self, clerk: Clerk, session: str, by: str, rate: Rate | None) -> None:
        self.clerk = clerk
        self.session = session
        self.by = by
        self.refused = 0
        """How many messages came too fast."""
        self._rate = rate

    def read(self, data: bytes | bytearray | str, tell: Tell) -> Message | None:
        """What a page says, within its rate; None where it was refused, and told so."""
        if self._rate is not None and not self._rate.take():
            self.refused += 1
            tell(Refused(_id_in(data), "too_fast", f"more than {PER_SECOND:g} messages in a second"))
            return None
        try:
            return from_json(data)
        except BadMessage as error:
            tell(_refused(error))
            return None

    async def hear(self, message: bytes | bytearray | str | Message, tell: Tell) -> bool:
        """Answer a message through `tell`, and what becomes of an instruction later too; it returns when all is said.

        So it runs in a task of its own for each message. False for `hello` and `resync`, which are the wire's to answer.
        Raises `JournalError` when the journal could not keep something: then the desk is dead.
        """
        heard = self.read(message, tell) if isinstance(message, (bytes, bytearray, str)) else message
        clerk = self.clerk
        if isinstance(heard, (Hello, Resync)):
            return False
        if isinstance(heard, Ping):
            tell(Pong(int(clerk._now() * 1_000)))
        elif isinstance(heard, Ask):
            tell(clerk.ask(heard.id))
        elif isinstance(heard, Preview):
            tell(clerk.preview(heard, self.session, self.by))
        elif isinstance(heard, Do):
            answer = await clerk.do(heard, self.session, self.by)
            tell(answer)
            if isinstance(answer, Answer) and answer.open:
                tell(await clerk.outcome(answer.id))
        return True


def told(answer: Answered) -> Answer:
    """An instruction's answer, as a page is told it."""
    return Answer(answer.id, answer.code.value, answer.ok, answer.code.open, answer.message, dict(answer.evidence))


def _refused(error: BadMessage) -> Refused:
    return Refused(error.id, error.code, str(error))  # type: ignore[arg-type]


def _read_only(request: str | None) -> Refused:
    return Refused(request, "read_only", "this page only shows: no control was handed in")


def _stranger(request: str) -> Refused:
    return Refused(request, "bad_instruction", "no instruction of this id was given here")


def _id_of(message: Preview | Do) -> str | None:
    return _id_among(message.instruction)


def _id_in(data: bytes | bytearray | str) -> str | None:
    """The id of the request in what came too fast, so that a page knows which it was."""
    try:
        message = from_json(data)
    except BadMessage as error:
        return error.id
    if isinstance(message, (Preview, Do)):
        return _id_of(message)
    return message.id if isinstance(message, Ask) else None


def _id_among(terms: Mapping[str, object]) -> str | None:
    found = terms.get("id")
    return found if isinstance(found, str) else None
