"""The counter: what fits, who waits, for how long, and in which order."""

from __future__ import annotations

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sleeves.errors import InvalidMarket, VenueUnavailable
from sleeves.venues.rate import Bucket, Buckets
from strategies import law

both = pytest.mark.parametrize("backend", ["asyncio", "trio"])


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@law
@given(
    capacity=st.integers(1, 200),
    per_second=st.sampled_from([0.33, 0.5, 1, 2.34, 3.75]),
    steps=st.lists(st.tuples(st.floats(0, 100), st.integers(0, 9)), max_size=40),
)
def test_a_venue_that_counts_alike_never_sees_the_cap_passed(capacity, per_second, steps):
    """The venue's own counter, kept in another way: no call that was let through finds it above the cap."""
    clock = Clock()
    bucket, venue, last = Bucket(capacity, per_second, clock=clock), 0.0, clock.now
    for pause, cost in steps:
        clock.now += pause
        if cost > capacity:
            with pytest.raises(InvalidMarket, match="never fits"):
                bucket.wait(cost)
            continue
        wait = bucket.wait(cost)
        assert wait == 0 or wait <= cost / per_second + 1e-6
        clock.now += wait
        bucket.spend(cost)
        venue = max(0.0, venue - (clock.now - last) * per_second) + cost
        last = clock.now
        assert venue <= capacity + 1e-6
        assert bucket.level == pytest.approx(venue)


@pytest.mark.parametrize(
    ("spent", "cost", "seconds"), [(14, 1, 0), (15, 1, 1 / 0.33), (15, 0, 0), (14, 2, 1 / 0.33), (13, 2, 0), (20, 1, 6 / 0.33)]
)
def test_a_starters_key_waits_as_the_reference_says(spent, cost, seconds):
    bucket = Bucket(15, 0.33, clock=Clock())
    bucket.spend(spent)
    assert bucket.wait(cost) == pytest.approx(seconds)


def test_it_falls_to_zero_and_no_further_and_a_clock_that_goes_back_lowers_nothing():
    clock = Clock()
    bucket = Bucket(10, 2, clock=clock)
    bucket.spend(6)
    clock.now -= 500
    assert bucket.level == 6
    clock.now += 1
    assert bucket.level == 4
    clock.now += 100
    assert bucket.level == 0


def test_the_venues_own_count_replaces_ours():
    clock = Clock()
    bucket = Bucket(10, 1, clock=clock)
    bucket.spend(9)
    bucket.note(3)
    assert bucket.level == 3
    bucket.note(12)
    clock.now += 1
    assert bucket.level == 11
    assert bucket.wait(1) == 2


@both
def test_who_waits_is_let_through_in_the_order_of_coming(backend):
    async def main():
        bucket, order = Bucket(2, 50, name="quiet"), []

        async def one(number, cost):
            await bucket.take(cost)
            order.append(number)

        async with anyio.create_task_group() as tasks:
            for number in range(10):
                tasks.start_soon(one, number, 2 if number == 3 else 1)
                await anyio.lowlevel.checkpoint()
        return order, bucket.level

    order, level = anyio.run(main, backend=backend)
    assert order == list(range(10)), "a large one was overtaken by small ones"
    assert level <= 2


@both
def test_a_small_one_that_would_fit_does_not_overtake_a_large_one_that_waits(backend):
    async def main():
        bucket, order = Bucket(3, 20), []
        bucket.spend(2)

        async def one(cost):
            await bucket.take(cost)
            order.append(cost)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one, 3)
            await anyio.sleep(0.01)
            assert bucket.wait(1) == 0, "it would fit"
            tasks.start_soon(one, 1)
        return order

    assert anyio.run(main, backend=backend) == [3, 1]


@both
def test_who_cannot_wait_so_long_is_told_and_nothing_is_counted(backend):
    async def main():
        bucket = Bucket(2, 1, name="quiet")
        await bucket.take(2, within=0)
        for cost, within in ((1, 0), (2, 0.5), (1, 0.9)):
            with pytest.raises(VenueUnavailable, match=f"too many calls of quiet: a cost of {cost} fits in .* nothing was sent"):
                await bucket.take(cost, within=within)
        assert bucket.level == pytest.approx(2, abs=0.2)
        await bucket.take(0, within=0)
        async with anyio.create_task_group() as tasks:  # behind somebody who waits, it cannot be known at once
            tasks.start_soon(bucket.take, 2)
            await anyio.sleep(0.01)
            bucket.note(1.9)
            with pytest.raises(VenueUnavailable, match="too many calls of quiet"):
                await bucket.take(1, within=0.95)
            tasks.cancel_scope.cancel()

    anyio.run(main, backend=backend)


@both
def test_who_is_cancelled_counts_nothing_and_the_next_one_goes_on(backend):
    async def main():
        bucket = Bucket(1, 20)
        await bucket.take()
        with anyio.move_on_after(0.01):
            await bucket.take()
            pytest.fail("it did not wait")
        await bucket.take(within=1)
        return bucket.level

    assert anyio.run(main, backend=backend) <= 1


def test_it_outlives_an_event_loop():
    bucket = Bucket(1, 100)
    for backend in ("asyncio", "trio", "asyncio"):
        anyio.run(bucket.take, backend=backend)
        anyio.run(bucket.take, backend=backend)
    assert 0 < bucket.level <= 1


def test_each_name_has_a_counter_of_its_own():
    buckets = Buckets(5, 1, clock=Clock(), name="pair")
    buckets["ETH/USD"].spend(5)
    assert (buckets["ETH/USD"].level, buckets["BTC/USD"].level) == (5, 0)
    assert repr(buckets["ETH/USD"]) == "<Bucket of pair ETH/USD 5.00 of 5>"


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), True, "5", None])
def test_what_is_no_figure_is_refused(value):
    bucket = Bucket(5, 1, clock=Clock())
    for wrong in (
        lambda: Bucket(value, 1),
        lambda: Bucket(1, value),
        lambda: Buckets(1, value),
        lambda: bucket.spend(value),
        lambda: bucket.note(value),
    ):
        with pytest.raises(InvalidMarket, match=r"must be a number from 0 on"):
            wrong()
    with pytest.raises(InvalidMarket):
        bucket.wait(value)
    assert bucket.level == 0


def test_nothing_has_no_capacity_or_never_falls():
    for wrong in (lambda: Bucket(0, 1), lambda: Bucket(1, 0)):
        with pytest.raises(InvalidMarket, match="must be positive"):
            wrong()
