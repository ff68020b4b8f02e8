"""The states of a sleeve and of a vault, and who may move them, as one table.

    status       new risk   exits   meaning
    STAND_BY     no         yes     opened, no engine yet
    ACTIVE       yes        yes
    PAUSED       no         yes     a human said: no new buys; open positions wait for their exit
    CLOSE_ONLY   no         yes     the books said: something is wrong; a human must clear it
    HALTED       no         no      killed: only the desk's own flattening orders may run

A move that the table does not have raises `WrongStatus`; nothing falls through to a default.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from .errors import WrongStatus

__all__ = ["TRANSITIONS", "Move", "Status", "next_status", "worse"]


class Status(StrEnum):
    STAND_BY = "stand_by"
    ACTIVE = "active"
    PAUSED = "paused"
    CLOSE_ONLY = "close_only"
    HALTED = "halted"

    @property
    def may_open(self) -> bool:
        """May take new risk."""
        return self is Status.ACTIVE

    @property
    def may_exit(self) -> bool:
        """May reduce what it has."""
        return self is not Status.HALTED


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
    (_S.CLOSE_ONLY, _M.CLEAR): _S.PAUSED,
    (_S.STAND_BY, _M.KILL): _S.HALTED,
    (_S.ACTIVE, _M.KILL): _S.HALTED,
    (_S.PAUSED, _M.KILL): _S.HALTED,
    (_S.CLOSE_ONLY, _M.KILL): _S.HALTED,
    (_S.HALTED, _M.KILL): _S.HALTED,
    (_S.HALTED, _M.REVIVE): _S.PAUSED,
}
"""Which move leads where. What is not here cannot be done."""

_SEVERITY = {status: rank for rank, status in enumerate((_S.ACTIVE, _S.STAND_BY, _S.PAUSED, _S.CLOSE_ONLY, _S.HALTED))}


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
