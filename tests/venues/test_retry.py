"""Asking again: questions only, so often, and never what may not be."""

from __future__ import annotations

import anyio
import pytest

from sleeves.errors import InvalidMarket, VenueRejected, VenueUnavailable, VenueUnknown
from sleeves.keys import NoKey
from sleeves.venues.retry import Reading, Retry

both = pytest.mark.parametrize("backend", ["asyncio", "trio"])
FAST = Retry(attempts=4, first=0.001, most=0.002, jitter=0.001)


class Asked:
    """Fails with these errors in turn, then answers."""

    def __init__(self, *errors):
        self.errors = list(errors)
        self.times = 0

    async def __call__(self):
        self.times += 1
        await anyio.lowlevel.checkpoint()
        if self.errors:
            raise self.errors.pop(0)
        return "answer"


def run(asked, retry=FAST, backend="asyncio"):
    return anyio.run(retry, Reading("Balance", asked), backend=backend)


@both
@pytest.mark.parametrize("error", [VenueUnavailable, VenueUnknown])
@pytest.mark.parametrize("failures", [0, 1, 3])
def test_a_question_is_asked_again_until_it_is_answered(backend, error, failures):
    asked = Asked(*[error("no")] * failures)
    assert run(asked, backend=backend) == "answer"
    assert asked.times == failures + 1


@both
@pytest.mark.parametrize("error", [VenueUnavailable, VenueUnknown])
def test_it_ends_as_unavailable_and_is_not_asked_once_more(backend, error):
    asked = Asked(*[error("no answer")] * 4)
    with pytest.raises(VenueUnavailable, match="no answer"):
        run(asked, backend=backend)
    assert asked.times == 4


@pytest.mark.parametrize("error", [VenueRejected("no"), NoKey("none"), ValueError("a bug"), KeyError("a bug")])
def test_what_is_no_outage_is_told_at_once(error):
    asked = Asked(error)
    with pytest.raises(type(error)):
        run(asked)
    assert asked.times == 1


@pytest.mark.parametrize(("again", "times"), [(lambda _: False, 1), (lambda _: True, 4), (lambda _: 0.001, 4)])
def test_who_knows_the_venue_may_decide(again, times):
    asked = Asked(*[VenueUnavailable("no")] * 4)
    with pytest.raises(VenueUnavailable):
        run(asked, Retry(attempts=4, first=0.001, jitter=0, again=again))
    assert asked.times == times


@both
def test_its_time_is_bounded(backend):
    asked = Asked(*[VenueUnavailable("no")] * 1000)
    with pytest.raises(VenueUnavailable):
        run(asked, Retry(attempts=1000, first=0.02, most=0.02, jitter=0, timeout=0.1), backend)
    assert 2 <= asked.times <= 8


async def order():
    raise AssertionError("an order was sent by a retry")


@pytest.mark.parametrize("thing", [order, order(), None, "AddOrder", lambda: None])
def test_what_is_no_reading_is_never_asked(thing):
    with pytest.raises(InvalidMarket, match=r"only a Reading is asked again, not .*: an order is never sent twice"):
        anyio.run(FAST, thing)
    if hasattr(thing, "close"):
        thing.close()


@pytest.mark.parametrize(
    "terms",
    [{"attempts": 0}, {"attempts": True}, {"attempts": 1.5}, {"first": -1}, {"most": float("nan")}, {"jitter": None}, {"timeout": "5"}],
)
def test_figures_that_are_none_are_refused(terms):
    with pytest.raises(InvalidMarket):
        Retry(**terms)


def test_one_attempt_is_no_retry():
    asked = Asked(VenueUnavailable("no"))
    with pytest.raises(VenueUnavailable):
        run(asked, Retry(attempts=1))
    assert asked.times == 1
