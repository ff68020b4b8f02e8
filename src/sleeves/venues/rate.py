"""How much may be asked: a counter that each call raises and time lowers, as venues keep it for a key, or for a pair.

A call that would take the counter over the cap waits, in the order in which calls came, until it fits. The venue's own count,
where it tells it, replaces ours. It knows no venue's costs and no keys, only names.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import anyio
import anyio.lowlevel

from ..errors import InvalidMarket, VenueUnavailable

__all__ = ["Bucket", "Buckets"]

log = logging.getLogger("sleeves.venues.rate")
log.addHandler(logging.NullHandler())

LONG = 1.0
"""A wait of more seconds than this is worth a line in the log."""


def _number(value: object, what: str, least: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value < float("inf"):
        raise InvalidMarket(f"{what} {value!r} must be a number from {least:g} on")
    return value


class Bucket:
    """A counter with a cap: `take(cost)` raises it, and it falls by `per_second` down to zero.

    `clock` gives seconds and never goes back; where it does, nothing falls meanwhile. `name` is for errors.
    Raises `InvalidMarket` for a capacity or a rate that is not positive.
    """

    def __init__(self, capacity: float, per_second: float, *, clock: Callable[[], float] = time.monotonic, name: str = "") -> None:
        for what, value in (("the capacity of a bucket", capacity), ("what it loses per second", per_second)):
            if not _number(value, what, 0):
                raise InvalidMarket(f"{what} must be positive")
        self.capacity = capacity
        self.per_second = per_second
        self.name = name
        self._clock = clock
        self._level = 0.0
        self._seen: float | None = None
        self._lock: anyio.Lock | None = None
        self._waiting = 0

    @property
    def level(self) -> float:
        """The counter now."""
        now = self._clock()
        if self._seen is not None and now > self._seen:
            self._level = max(0.0, self._level - (now - self._seen) * self.per_second)
        self._seen = now
        return self._level

    def wait(self, cost: float = 1) -> float:
        """In how many seconds so much would fit, calls that wait already left out. Raises `InvalidMarket` where it never does."""
        if _number(cost, "a cost", 0) > self.capacity:
            raise InvalidMarket(f"a cost of {cost:g} never fits below the cap of {self.capacity:g}{self._of}")
        return max(0.0, (self.level + cost - self.capacity) / self.per_second)

    async def take(self, cost: float = 1, *, within: float | None = None) -> None:
        """Wait until so much fits, first come first served, and count it. What costs nothing does not wait.

        Raises `VenueUnavailable` where that would take more than `within` seconds, at once where it can be known, and
        `InvalidMarket` where it never fits; nothing is counted then, nor by who is cancelled while waiting.
        """
        if within is not None:
            _number(within, "within", 0)
        await anyio.lowlevel.checkpoint_if_cancelled()
        wait = self.wait(cost)
        if wait > (float("inf") if within is None else within):
            raise self._refused(cost, within)
        if not cost or (not wait and not self._waiting):
            self._level += cost
            await anyio.lowlevel.cancel_shielded_checkpoint()
            return
        with anyio.move_on_after(within) as scope:
            await self._turn(cost)
            return
        assert scope.cancelled_caught
        raise self._refused(cost, within)

    def spend(self, cost: float = 1) -> None:
        """Count what cannot wait. It may go over the cap, and then those that come after wait longer."""
        self._level = self.level + _number(cost, "a cost", 0)

    def note(self, level: float) -> None:
        """The venue's own count, which replaces ours."""
        self._level = _number(level, "the venue's count", 0)
        self._seen = self._clock()

    def __repr__(self) -> str:
        return f"<Bucket{self._of} {self.level:.2f} of {self.capacity:g}>"

    async def _turn(self, cost: float) -> None:
        """Wait for those before, then for room. The lock lives while somebody waits, so that a bucket outlives an event loop."""
        if self._lock is None:
            self._lock = anyio.Lock()
        self._waiting += 1
        try:
            async with self._lock:
                while (left := self.wait(cost)) > 0:
                    if left > LONG:
                        log.info("the venue's limit of calls%s: waiting %.1f s", self._of, left)
                    await anyio.sleep(left)
                self._level += cost
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._lock = None

    @property
    def _of(self) -> str:
        return f" of {self.name}" if self.name else ""

    def _refused(self, cost: float, within: float | None) -> VenueUnavailable:
        return VenueUnavailable(
            f"too many calls{self._of}: a cost of {cost:g} fits in {self.wait(cost):.1f} s, later than {within or 0:g} s; nothing was sent"
        )


class Buckets:
    """A bucket for each name, of one size, made when it is asked for: by key, or by pair. Raises as `Bucket` does."""

    def __init__(self, capacity: float, per_second: float, *, clock: Callable[[], float] = time.monotonic, name: str = "") -> None:
        first = Bucket(capacity, per_second, clock=clock, name=name)
        self._size, self._clock, self._name = (first.capacity, first.per_second), clock, name
        self._buckets: dict[str, Bucket] = {}

    def __getitem__(self, name: str) -> Bucket:
        if name not in self._buckets:
            self._buckets[name] = Bucket(*self._size, clock=self._clock, name=f"{self._name} {name}".strip())
        return self._buckets[name]
