"""The promises of a venue, as tests: what a driver must keep before anybody's money is traded through it.

    class TestMyVenue(venue_suite(make_venue, OFFER)): ...

A `Script` is what the world will do. `make_venue` gives a driver connected to whatever plays it: the simulator, or a
fake server. The suite reads the driver's events and gives its commands through the public protocol and nothing else;
each promise is one test, and a failure is a sentence that says what was promised and what was seen.

And the promise of an engine's plan: `check_plan` tries it on a tape.

What a driver does inside, which wire it speaks, and how its fake server is built is not known here. Nothing in the core
imports this package; pytest is needed only where a suite is made, `audit` does without.
"""

from __future__ import annotations

from .fold import Folded, fold_events
from .offer import Feature, Offer
from .plans import PlanBroken, PlanTried, check_plan
from .promises import PROMISES, Promise
from .script import Row, Script
from .stage import PromiseBroken
from .suite import Audit, Verdict, audit, venue_suite

__all__ = [
    "PROMISES",
    "Audit",
    "Feature",
    "Folded",
    "Offer",
    "PlanBroken",
    "PlanTried",
    "Promise",
    "PromiseBroken",
    "Row",
    "Script",
    "Verdict",
    "audit",
    "check_plan",
    "fold_events",
    "venue_suite",
]
