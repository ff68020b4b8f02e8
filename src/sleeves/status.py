"""The states of a desk, a venue, a core vault and a sleeve, what holds them there, and who may move them: two tables.

    status       new risk   exits   meaning
    STAND_BY     no         yes     opened, no engine yet
    ACTIVE       yes        yes
    PAUSED       no         yes     a human said: no new buys; open positions wait for their exit
    IMPAIRED     no         yes     what is there cannot be seen, or does not agree: until it does again
    CLOSE_ONLY   no         yes     the books or a limit said: something is wrong
    HALTED       no         no      killed: only the desk's own flattening orders may run
    DEACTIVATED  no         no      closed, with nothing in it, until it is taken back

`TRANSITIONS` says which move leads from where to where; a move that it does not have raises `WrongStatus`. Besides, a
subject is held by latches: each has a cause, and `HOLDS` says which status the cause demands, who may lift it and when.
Causes come and go by themselves, so lifting one never undoes another, nor what a human said. What counts is the worst of
all, and a sleeve is never freer than its vault, nor that freer than the desk.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

from attrs import frozen

from .errors import WrongStatus
from .market import DAY, MINUTE

__all__ = ["HOLDS", "TRANSITIONS", "Hold", "Latch", "Lifter", "Move", "Rule", "Status", "next_status", "worse", "worst"]


class Status(StrEnum):
    STAND_BY = "stand_by"
    ACTIVE = "active"
    PAUSED = "paused"
    IMPAIRED = "impaired"
    CLOSE_ONLY = "close_only"
    HALTED = "halted"
    DEACTIVATED = "deactivated"

    @property
    def may_open(self) -> bool:
        """May take new risk."""
        return self is Status.ACTIVE

    @property
    def may_exit(self) -> bool:
        """May reduce what it has."""
        return self is not Status.HALTED and self is not Status.DEACTIVATED


class Move(StrEnum):
    START = "start"
    """An engine was assigned."""
    PAUSE = "pause"
    RESUME = "resume"
    BREACH = "breach"
    """A fact overdrew an account, or another law of the books is at risk."""
    CLEAR = "clear"
    """A human has looked at the breach: paused, to be resumed."""
    KILL = "kill"
    REVIVE = "revive"
    """A human takes a killed sleeve back, paused."""
    DEACTIVATE = "deactivate"
    """A human closes what has nothing in it."""
    REACTIVATE = "reactivate"
    """And takes it back, paused."""


_S, _M = Status, Move
TRANSITIONS: Mapping[tuple[Status, Move], Status] = {
    (_S.STAND_BY, _M.START): _S.ACTIVE,
    (_S.ACTIVE, _M.START): _S.ACTIVE,
    (_S.PAUSED, _M.START): _S.PAUSED,
    (_S.ACTIVE, _M.PAUSE): _S.PAUSED,
    (_S.STAND_BY, _M.PAUSE): _S.PAUSED,
    (_S.PAUSED, _M.PAUSE): _S.PAUSED,
    (_S.CLOSE_ONLY, _M.PAUSE): _S.CLOSE_ONLY,
    (_S.PAUSED, _M.RESUME): _S.ACTIVE,
    (_S.STAND_BY, _M.BREACH): _S.CLOSE_ONLY,
    (_S.ACTIVE, _M.BREACH): _S.CLOSE_ONLY,
    (_S.PAUSED, _M.BREACH): _S.CLOSE_ONLY,
    (_S.CLOSE_ONLY, _M.BREACH): _S.CLOSE_ONLY,
    (_S.HALTED, _M.BREACH): _S.HALTED,
    (_S.DEACTIVATED, _M.BREACH): _S.CLOSE_ONLY,
    (_S.CLOSE_ONLY, _M.CLEAR): _S.PAUSED,
    (_S.STAND_BY, _M.KILL): _S.HALTED,
    (_S.ACTIVE, _M.KILL): _S.HALTED,
    (_S.PAUSED, _M.KILL): _S.HALTED,
    (_S.CLOSE_ONLY, _M.KILL): _S.HALTED,
    (_S.HALTED, _M.KILL): _S.HALTED,
    (_S.DEACTIVATED, _M.KILL): _S.DEACTIVATED,
    (_S.HALTED, _M.REVIVE): _S.PAUSED,
    (_S.STAND_BY, _M.DEACTIVATE): _S.DEACTIVATED,
    (_S.PAUSED, _M.DEACTIVATE): _S.DEACTIVATED,
    (_S.HALTED, _M.DEACTIVATE): _S.DEACTIVATED,
    (_S.DEACTIVATED, _M.REACTIVATE): _S.PAUSED,
}
"""Which move leads where. What is not here cannot be done."""

_SEVERITY = {
    status: rank for rank, status in enumerate((_S.ACTIVE, _S.STAND_BY, _S.PAUSED, _S.IMPAIRED, _S.CLOSE_ONLY, _S.HALTED, _S.DEACTIVATED))
}


def next_status(status: Status, move: Move, subject: str) -> Status:
    """Where a move leads, or `WrongStatus` naming the moves that are open from here."""
    try:
        return TRANSITIONS[status, move]
    except KeyError:
        open_moves = ", ".join(sorted(m for s, m in TRANSITIONS if s is status))
        raise WrongStatus(f"{subject} is {status}: it cannot {move}; from here it can {open_moves}") from None


def worse(a: Status, b: Status) -> Status:
    """The stricter of two: a sleeve is never freer than its vault."""
    return a if a is b or _SEVERITY[a] >= _SEVERITY[b] else b


def worst(statuses: Iterable[Status]) -> Status:
    """The strictest of all; `ACTIVE` of none."""
    return max(statuses, key=_SEVERITY.__getitem__, default=Status.ACTIVE)


# -- what holds a subject ------------------------------------------------------------------------------------------------


class Hold(StrEnum):
    """Why a subject is held."""

    CONNECTION = "connection"
    """A venue's feed is lost."""
    SYNC = "sync"
    """A venue could not be held against the books."""
    STOPPED = "stopped"
    """A human stopped the engine of a sleeve."""
    DAILY_LOSS = "daily_loss"
    DRAWDOWN = "drawdown"
    EXPOSURE = "exposure"
    FROZEN = "frozen"
    """A human marked it: what it has lies where it cannot be had, or not for what the books say."""


class Lifter(StrEnum):
    """Who may lift what holds a subject."""

    DESK = "desk"
    """What put it there finds that it is over."""
    HUMAN = "human"
    EITHER = "either"


@frozen
class Rule:
    """What a cause demands: a status, until somebody who may lifts it; the desk not before it has rested so long."""

    status: Status
    lifted_by: Lifter
    rest_ns: int = 0


HOLDS: Mapping[Hold, Rule] = {
    Hold.CONNECTION: Rule(_S.IMPAIRED, Lifter.DESK),
    Hold.SYNC: Rule(_S.IMPAIRED, Lifter.EITHER),
    Hold.STOPPED: Rule(_S.PAUSED, Lifter.HUMAN),
    Hold.DAILY_LOSS: Rule(_S.CLOSE_ONLY, Lifter.EITHER, DAY),
    Hold.DRAWDOWN: Rule(_S.CLOSE_ONLY, Lifter.HUMAN),
    Hold.EXPOSURE: Rule(_S.CLOSE_ONLY, Lifter.EITHER, 15 * MINUTE),
    Hold.FROZEN: Rule(_S.IMPAIRED, Lifter.HUMAN),
}
"""By cause: which status it demands, who may lift it, and how long the desk lets it rest. A day ends at midnight UTC."""


@frozen
class Latch:
    """What holds a subject now."""

    cause: Hold
    at: int
    by: str
    why: str
    until: int
    """Before this the desk does not lift it; a human may."""

    @property
    def status(self) -> Status:
        return HOLDS[self.cause].status

    def may_lift(self, at: int, *, human: bool) -> bool:
        """Whether a human, or the desk, may lift it at this time."""
        lifter = HOLDS[self.cause].lifted_by
        return lifter is not Lifter.DESK if human else lifter is not Lifter.HUMAN and at >= self.until
