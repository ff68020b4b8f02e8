"""Putting a venue to the test: as an audit to print, or as a class of tests.

pytest is needed only where a suite is made; `audit` does without.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from attrs import frozen

from ..market import Instrument
from .offer import MakeVenue, Offer
from .promises import PROMISES, Promise
from .stage import PromiseBroken

__all__ = [
    "Audit",
    "Verdict",
    "audit",
    "venue_suite",
]


@frozen(order=False)
class Verdict:
    """How one promise fared on one market: `holds`, `broken` with what was seen, or `passed over` with why."""

    promise: str
    market: str
    result: str
    said: str = ""

    def __str__(self) -> str:
        return f"{self.result:11} {self.market}: {self.promise.replace('_', ' ')}" + (f"\n            {self.said}" if self.said else "")


@frozen(order=False)
class Audit:
    """What a venue's audit found. Printed, it has a line for each promise on each market."""

    verdicts: tuple[Verdict, ...]

    @property
    def holds(self) -> bool:
        """Whether no promise was broken; one that was passed over breaks nothing."""
        return not self.broken

    @property
    def broken(self) -> tuple[Verdict, ...]:
        return tuple(verdict for verdict in self.verdicts if verdict.result == "broken")

    def __str__(self) -> str:
        return "\n".join(map(str, self.verdicts))


async def audit(make_venue: MakeVenue, offer: Offer, *names: str) -> Audit:
    """Put a venue to the test without pytest: every promise, or those named, on each market that is offered.

    A broken promise is a line of the audit and not an exception. Raises `ValueError` for a name that no promise has.
    """
    unknown = sorted(set(names) - {promise.name for promise in PROMISES})
    if unknown:
        raise ValueError(f"no promise is named {', '.join(unknown)}")
    verdicts = []
    for promise in PROMISES:
        for market in offer.markets if not names or promise.name in names else ():
            reason = promise.passed_over(offer, market)
            if reason:
                verdicts.append(Verdict(promise.name, market.symbol, "passed over", reason))
                continue
            try:
                await promise.keep(make_venue, offer, market)
            except PromiseBroken as error:
                verdicts.append(Verdict(promise.name, market.symbol, "broken", str(error)))
            else:
                verdicts.append(Verdict(promise.name, market.symbol, "holds"))
    return Audit(tuple(verdicts))


def venue_suite(make_venue: MakeVenue, offer: Offer) -> type[Any]:
    """A class of tests, one for each promise, to derive a test class from. Needs pytest, and runs through anyio's plugin.

    Each test runs on each market offered, and on asyncio and trio, where it is installed: a fixture `anyio_backend` of
    one's own narrows that. A promise about what is not offered is skipped with the reason.
    """
    import pytest

    tests: dict[str, Any] = {
        "__doc__": "The promises of `sleeves.protocols.Venue`.",
        "pytestmark": [pytest.mark.anyio],
        "market": pytest.fixture(params=offer.markets, ids=[market.symbol for market in offer.markets])(_given),
    }
    for promise in PROMISES:
        tests[f"test_{promise.name}"] = _test(promise, make_venue, offer, pytest.skip)
    return type("VenueSuite", (), tests)


def _given(self: object, request: Any) -> Any:  # noqa: ARG001 a method of the suite
    return request.param


def _test(promise: Promise, make_venue: MakeVenue, offer: Offer, skip: Callable[[str], object]) -> Callable[..., Awaitable[None]]:
    async def test(self: object, market: Instrument) -> None:  # noqa: ARG001 a method of the suite
        __tracebackhide__ = True
        reason = promise.passed_over(offer, market)
        if reason:
            skip(reason)
        await promise.keep(make_venue, offer, market)

    test.__name__ = test.__qualname__ = f"test_{promise.name}"
    test.__doc__ = promise.says
    return test
