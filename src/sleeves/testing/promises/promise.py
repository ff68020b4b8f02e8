"""A promise of a venue, and how it is put to the test on one market.

It does not know which promises there are.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from attrs import frozen

from ...market import Instrument
from ..offer import Feature, MakeVenue, Offer
from ..stage import PromiseBroken, Stage

__all__ = ["Chapter", "Check", "Promise"]

Check: TypeAlias = Callable[[Stage], Awaitable[None]]
"""Plays what it needs on a stage; raises `PromiseBroken` where a promise is not kept."""


@frozen(order=False)
class Promise:
    """One promise of a venue: its name, what it says, what a venue must offer to be held to it, and the check."""

    name: str
    says: str
    needs: frozenset[Feature]
    kind: str
    """ "", "perp" or "wire": any market, perpetuals only, or where the connection can be cut."""
    check: Check

    def passed_over(self, offer: Offer, market: Instrument) -> str:
        """Why it is not put to the test on this market, or nothing."""
        missing = sorted(self.needs - offer.features)
        if missing:
            return f"the venue does not offer {' and '.join(missing)}"
        if self.kind == "perp" and market.contract is None:
            return f"{market} is not a perpetual"
        if self.kind == "wire" and offer.break_connection is None:
            return "the offer has no break_connection"
        return ""

    async def keep(self, make_venue: MakeVenue, offer: Offer, market: Instrument) -> None:
        """Put it to the test. Raises `PromiseBroken`, which says what was promised and what was seen."""
        __tracebackhide__ = True
        try:
            await self.check(Stage(make_venue, offer, market))
        except PromiseBroken as error:
            raise PromiseBroken(f"{self.says} {error}") from error.__cause__


class Chapter(list[Promise]):
    """The promises about one subject, in the order in which they are put to the test."""

    def promise(self, *needs: Feature, kind: str = "") -> Callable[[Check], Check]:
        """Take a check as a promise: its name is the promise's name, its docstring what the promise says."""

        def take(check: Check) -> Check:
            self.append(Promise(check.__name__.lstrip("_"), str(check.__doc__).strip(), frozenset(needs), kind, check))
            return check

        return take
