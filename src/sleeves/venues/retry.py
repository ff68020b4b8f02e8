"""Asking again: only ever a question, never an order.

What may be asked again is a `Reading`, a thing of its own: an order, a cancel, a swap is none, and nothing here takes one. So
where a request must not be sent twice, there is no place to write that it should be. Waits grow, with jitter, by stamina.

It knows no venue and no wire.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

from attrs import field, frozen

from ..errors import InvalidMarket, MissingExtra, VenueError, VenueUnavailable, VenueUnknown
from ..keys import NoKey

__all__ = ["Reading", "Retry"]

log = logging.getLogger("sleeves.venues.retry")
log.addHandler(logging.NullHandler())
logging.getLogger("stamina").addHandler(logging.NullHandler())  # else a bare line of it stands on stderr; who wants them still has them

T = TypeVar("T")


@frozen
class Reading(Generic[T]):
    """A question that changes nothing at the venue, however often it is asked. `what` is for errors; `ask` asks it once."""

    what: str
    ask: Callable[[], Awaitable[T]] = field(repr=False)


@frozen
class Retry:
    """How often and how fast a reading is asked again: `await retry(Reading("Balance", ask))`. Times are in seconds.

    Waits `first`, doubled each time up to `most`, with up to `jitter` added; gives up after so many `attempts`, or after
    `timeout`. `again` may decide otherwise: it is asked with the error, and says False for not again, True for as usual, or after
    how many seconds. Raises `InvalidMarket` for figures below zero or no attempt at all.
    """

    attempts: int = 4
    first: float = 0.1
    most: float = 5.0
    jitter: float = 0.2
    timeout: float = 45.0
    again: Callable[[VenueError], bool | float] | None = field(default=None, repr=False)

    def __attrs_post_init__(self) -> None:
        if type(self.attempts) is not int or self.attempts < 1:
            raise InvalidMarket(f"attempts {self.attempts!r} must be a whole number from 1 on")
        for what in ("first", "most", "jitter", "timeout"):
            value = getattr(self, what)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < float("inf"):
                raise InvalidMarket(f"{what} {value!r} of a retry must be a number of seconds from 0 on")

    async def __call__(self, reading: Reading[T]) -> T:
        """The answer. Raises `VenueUnavailable` when none came, the last error's text in it and its class where that is one;
        any other error at once, `VenueRejected` too. `NoKey` is not asked again, unless `again` says so: it tells when a key comes back.
        """
        if not isinstance(reading, Reading):
            raise InvalidMarket(f"only a Reading is asked again, not {type(reading).__name__}: an order is never sent twice")
        try:
            async for attempt in self._attempts():
                with attempt:
                    try:
                        return await reading.ask()
                    except (VenueUnavailable, VenueUnknown) as error:
                        log.info("%s: %s; attempt %d of %d", reading.what, error, attempt.num, self.attempts)
                        raise
        except VenueUnknown as error:
            raise VenueUnavailable(f"{reading.what}: {error}") from error
        raise AssertionError("a retry ends with an answer or an error")

    def _attempts(self) -> Any:
        try:
            import stamina
        except ImportError as error:
            raise MissingExtra("stamina", "kraken", "to ask a venue again") from error
        return stamina.retry_context(
            on=self._hook,
            attempts=self.attempts,
            timeout=self.timeout or None,
            wait_initial=self.first,
            wait_max=self.most,
            wait_jitter=self.jitter,
        )

    def _hook(self, error: Exception) -> bool | float:
        if not isinstance(error, (VenueUnavailable, VenueUnknown)):
            return False
        return self.again(error) if self.again is not None else not isinstance(error, NoKey)
