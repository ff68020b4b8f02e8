"""How a key fares: its states, what a venue says about it, and where that leads, as one table."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from .secret import InvalidKey

__all__ = ["TRANSITIONS", "WORST", "Health", "Sign", "next_health"]


class Health(StrEnum):
    """How a key fares, for one right."""

    HEALTHY = "healthy"
    COOLING = "cooling"
    SUSPECT = "suspect"
    DENIED = "denied"
    LOCKED = "locked"
    DEAD = "dead"

    @property
    def may_open(self) -> bool:
        """May be used for anything."""
        return self is Health.HEALTHY

    @property
    def may_exit(self) -> bool:
        """May be used for an exit when no healthy key is left, and to probe it."""
        return self in (Health.HEALTHY, Health.COOLING, Health.SUSPECT)


WORST = (Health.HEALTHY, Health.COOLING, Health.SUSPECT, Health.DENIED, Health.LOCKED, Health.DEAD)
"""From the best to the worst."""


class Sign(StrEnum):
    """What moves the health of a key. What a venue says is never refused; the table has it for each health."""

    ANSWERED = "answered"
    """The venue did what was asked. It heals nothing: an exit that went through does not make a suspect key sound."""
    RATE_LIMITED = "rate_limited"
    """The venue counts too many calls of this key."""
    NONCE = "nonce"
    """The venue has seen a nonce as high, or higher: another program uses the key, or calls overtook each other."""
    PERMISSION = "permission"
    """The venue does not let the key do this."""
    LOCKOUT = "lockout"
    """The venue locked the account for a time."""
    INVALID = "invalid"
    """The venue does not know the key, or its signature is wrong."""
    OVERREACH = "overreach"
    """The key may do more than it should, or what it may do is no longer known."""
    RESTED = "rested"
    """The time of a rest or a lock is over."""
    PROBED = "probed"
    """A call that only reads was answered, and the key's rights are what they should be."""
    CLEARED = "cleared"
    """A human has looked, for a reason."""
    EXPIRED = "expired"
    """Its time is over."""


_H, _S = Health, Sign
TRANSITIONS: Mapping[tuple[Health, Sign], Health] = {
    (_H.HEALTHY, _S.ANSWERED): _H.HEALTHY,
    (_H.HEALTHY, _S.RATE_LIMITED): _H.COOLING,
    (_H.HEALTHY, _S.NONCE): _H.SUSPECT,
    (_H.HEALTHY, _S.PERMISSION): _H.DENIED,
    (_H.HEALTHY, _S.LOCKOUT): _H.LOCKED,
    (_H.HEALTHY, _S.INVALID): _H.DEAD,
    (_H.HEALTHY, _S.OVERREACH): _H.SUSPECT,
    (_H.HEALTHY, _S.PROBED): _H.HEALTHY,
    (_H.HEALTHY, _S.EXPIRED): _H.DEAD,
    (_H.COOLING, _S.ANSWERED): _H.COOLING,
    (_H.COOLING, _S.RATE_LIMITED): _H.COOLING,
    (_H.COOLING, _S.NONCE): _H.SUSPECT,
    (_H.COOLING, _S.PERMISSION): _H.DENIED,
    (_H.COOLING, _S.LOCKOUT): _H.LOCKED,
    (_H.COOLING, _S.INVALID): _H.DEAD,
    (_H.COOLING, _S.OVERREACH): _H.SUSPECT,
    (_H.COOLING, _S.RESTED): _H.HEALTHY,
    (_H.COOLING, _S.PROBED): _H.HEALTHY,
    (_H.COOLING, _S.CLEARED): _H.HEALTHY,
    (_H.COOLING, _S.EXPIRED): _H.DEAD,
    (_H.SUSPECT, _S.ANSWERED): _H.SUSPECT,
    (_H.SUSPECT, _S.RATE_LIMITED): _H.SUSPECT,
    (_H.SUSPECT, _S.NONCE): _H.SUSPECT,
    (_H.SUSPECT, _S.PERMISSION): _H.DENIED,
    (_H.SUSPECT, _S.LOCKOUT): _H.LOCKED,
    (_H.SUSPECT, _S.INVALID): _H.DEAD,
    (_H.SUSPECT, _S.OVERREACH): _H.SUSPECT,
    (_H.SUSPECT, _S.PROBED): _H.HEALTHY,
    (_H.SUSPECT, _S.CLEARED): _H.HEALTHY,
    (_H.SUSPECT, _S.EXPIRED): _H.DEAD,
    (_H.DENIED, _S.ANSWERED): _H.DENIED,
    (_H.DENIED, _S.RATE_LIMITED): _H.DENIED,
    (_H.DENIED, _S.NONCE): _H.DENIED,
    (_H.DENIED, _S.PERMISSION): _H.DENIED,
    (_H.DENIED, _S.LOCKOUT): _H.LOCKED,
    (_H.DENIED, _S.INVALID): _H.DEAD,
    (_H.DENIED, _S.OVERREACH): _H.DENIED,
    (_H.DENIED, _S.PROBED): _H.DENIED,
    (_H.DENIED, _S.CLEARED): _H.SUSPECT,
    (_H.DENIED, _S.EXPIRED): _H.DEAD,
    (_H.LOCKED, _S.ANSWERED): _H.LOCKED,
    (_H.LOCKED, _S.RATE_LIMITED): _H.LOCKED,
    (_H.LOCKED, _S.NONCE): _H.LOCKED,
    (_H.LOCKED, _S.PERMISSION): _H.LOCKED,
    (_H.LOCKED, _S.LOCKOUT): _H.LOCKED,
    (_H.LOCKED, _S.INVALID): _H.DEAD,
    (_H.LOCKED, _S.OVERREACH): _H.LOCKED,
    (_H.LOCKED, _S.RESTED): _H.SUSPECT,
    (_H.LOCKED, _S.PROBED): _H.LOCKED,
    (_H.LOCKED, _S.CLEARED): _H.SUSPECT,
    (_H.LOCKED, _S.EXPIRED): _H.DEAD,
    (_H.DEAD, _S.ANSWERED): _H.DEAD,
    (_H.DEAD, _S.RATE_LIMITED): _H.DEAD,
    (_H.DEAD, _S.NONCE): _H.DEAD,
    (_H.DEAD, _S.PERMISSION): _H.DEAD,
    (_H.DEAD, _S.LOCKOUT): _H.DEAD,
    (_H.DEAD, _S.INVALID): _H.DEAD,
    (_H.DEAD, _S.OVERREACH): _H.DEAD,
    (_H.DEAD, _S.PROBED): _H.DEAD,
    (_H.DEAD, _S.CLEARED): _H.SUSPECT,
    (_H.DEAD, _S.EXPIRED): _H.DEAD,
}
"""Which sign leads where. A rest ends only what rests, and a human clears only what is not healthy."""


def next_health(health: Health, sign: Sign, subject: str) -> Health:
    """Where a sign leads, or `InvalidKey` naming the signs that there are from here."""
    try:
        return TRANSITIONS[health, sign]
    except KeyError:
        known = ", ".join(sorted(s for h, s in TRANSITIONS if h is health))
        raise InvalidKey(f"{subject} is {health}: it cannot be {sign}; from here it can be {known}") from None
