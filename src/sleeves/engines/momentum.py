"""Momentum: how far a price has just moved against how it usually moves, with how much volume, at what spread.

Pure arithmetic on opinions: floats, no order, no money, no view. What it remembers of an instrument is a deque of
samples that reaches back over `window` and `history` and no further.

    move    price now over the price a window ago, less 1
    z       ln(price now / price a window ago) / sqrt(v x T), where v is what squared returns of the history before that
            window sum to, over the time that they span, and T the time since the price a window ago
    surge   what was traded per second in the window, over what was in the history before it; unknown without volumes
    spread  (ask - bid) / middle

The history ends where the window begins, so that a burst is not measured against itself.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable

from attrs import define, field, frozen

from ..errors import InvalidAmount
from ..market import MINUTE, SECOND, Book
from .rates import finite, in_percent, opinion

__all__ = ["Momentum", "Sample", "Signal", "ramp"]


def ramp(value: float, none: float, full: float) -> float:
    """0 up to `none`, 1 from `full` on, in a straight line between; `full` may lie below `none`."""
    return min(1.0, max(0.0, (value - none) / (full - none)))


def _weights(values: Iterable[float]) -> tuple[float, ...]:
    return tuple(map(finite, values if isinstance(values, Iterable) else (values,)))


@define
class Sample:
    """What happened in one step: when it began, its last price, the logarithm of it, when that was, and what was traded up to it."""

    began: int
    at: int
    price: float
    log: float
    volume: int
    """Base units since the sample before; -1: not known."""


@frozen
class Signal:
    """What one look at an instrument says."""

    move: float
    z: float
    surge: float | None
    spread: float

    def __str__(self) -> str:
        surge = "volume unknown" if self.surge is None else f"volume {self.surge:.1f}x"
        return f"moved {in_percent(self.move)}, z {self.z:.1f}, {surge}, spread {self.spread * 10_000:.1f} bp"


@frozen
class Momentum:
    """How momentum is measured, and what of it makes how much confidence.

    A sample is kept each `step`; the move is over `window`, its volatility over `history` before that, of which at least
    `least` steps must be there. Parts of confidence, each from 0 to 1: the move counts from `calm` volatilities on and
    in full from `strong`; volume counts above its mean and in full from `surge` times it; the spread counts in full at 0
    and half at `spread`, beyond which nothing is entered. `weights` are those of the move, the volume and the spread.
    """

    step: int = 5 * SECOND
    window: int = 30 * SECOND
    history: int = 10 * MINUTE
    least: int = 20
    calm: float = field(default=2.0, converter=finite)
    strong: float = field(default=6.0, converter=finite)
    surge: float = field(default=5.0, converter=finite)
    spread: float = field(default=0.005, converter=opinion)
    weights: tuple[float, ...] = field(default=(0.5, 0.3, 0.2), converter=_weights)

    def __attrs_post_init__(self) -> None:
        for what in ("step", "window", "history", "least"):
            value = getattr(self, what)
            if type(value) is not int or value <= 0:
                unit = "number" if what == "least" else "number of nanoseconds"
                raise InvalidAmount(f"{what} {value!r} must be a positive whole {unit}")
        if self.window < self.step:
            raise InvalidAmount(f"a window of {self.window} ns is shorter than a step of {self.step} ns")
        if self.history < self.least * self.step:
            raise InvalidAmount(f"a history of {self.history} ns holds no {self.least} steps of {self.step} ns")
        if not 0 <= self.calm < self.strong:
            raise InvalidAmount(f"calm {self.calm} and strong {self.strong}: need 0 <= calm < strong")
        if self.surge <= 1:
            raise InvalidAmount(f"surge {self.surge} must lie above 1, the mean volume")
        if not 0 < self.spread < 1:
            raise InvalidAmount(f"spread {in_percent(self.spread)} must lie above 0% and below 100%")
        if len(self.weights) != 3 or min(self.weights) < 0 or not self.weights[0]:
            raise InvalidAmount(f"weights {self.weights} must be three, none below zero, and that of the move above it")

    @property
    def most_samples(self) -> int:
        """How many samples of one instrument are ever kept."""
        return (self.window + self.history) // self.step + 2

    def begin(self) -> deque[Sample]:
        return deque(maxlen=self.most_samples)

    def note(self, samples: deque[Sample], book: Book) -> None:
        """Take in a price that was not taken in yet."""
        at, price = book.at, (book.bid + book.ask) / 2
        if samples and at - samples[-1].began < self.step:
            last = samples[-1]
            last.volume = -1 if last.volume < 0 or book.volume < 0 else last.volume + book.volume
            last.at, last.price, last.log = at, price, math.log(price)
            return
        samples.append(Sample(at, at, price, math.log(price), book.volume))
        oldest = at - self.window - self.history
        while len(samples) > 1 and samples[1].at <= oldest:
            samples.popleft()

    def read(self, samples: deque[Sample], book: Book) -> Signal | None:
        """What the samples up to this price say; None while they reach back too little. A price that stood still is
        taken to move by a tick each step, so that its first move is not measured against nothing."""
        if not samples:
            return None
        now = samples[-1]
        since, squares, steps, usual, recent = 0, 0.0, 0, (0, 0), (0, 0)
        then = before = samples[0]
        if before.at > now.at - self.window:
            return None
        for sample in samples:
            if sample is before:
                continue
            span = sample.at - before.at
            if sample.at <= now.at - self.window:
                squares += (sample.log - before.log) ** 2
                steps, since, then = steps + 1, since + span, sample
                usual = _traded(usual, sample, span)
            else:
                recent = _traded(recent, sample, span)
            before = sample
        if steps < self.least:
            return None
        squares = max(squares, steps * (book.instrument.tick_units / then.price) ** 2)
        z = (now.log - then.log) / math.sqrt(squares / since * (now.at - then.at))
        return Signal(now.price / then.price - 1, z, _surge(recent, usual), (book.ask - book.bid) / now.price)

    def confidence(self, signal: Signal, others: Iterable[tuple[float, float]] = ()) -> float:
        """The weighted geometric mean of the parts that are known, with others as (weight, part): from 0 to 1.

        One part of nothing makes nothing: no reading from outside stands in for a move that is not there. An input that
        is absent is left out, and the weights of the others are as if it had never been.
        """
        move, volume, spread = self.weights
        parts = [(move, ramp(signal.z, self.calm, self.strong)), (spread, max(0.0, 1 - signal.spread / (2 * self.spread)))]
        if signal.surge is not None:
            parts.append((volume, ramp(signal.surge, 1.0, self.surge)))
        parts = [(weight, part) for weight, part in (*parts, *others) if weight]
        if any(part <= 0 for _, part in parts):
            return 0.0
        total = sum(weight for weight, _ in parts)
        return math.exp(sum(weight * math.log(part) for weight, part in parts) / total)


def _traded(sum_: tuple[int, int], sample: Sample, span: int) -> tuple[int, int]:
    """(base units, ns) with one sample more; one whose volume is not known counts in neither."""
    return sum_ if sample.volume < 0 else (sum_[0] + sample.volume, sum_[1] + span)


def _surge(recent: tuple[int, int], usual: tuple[int, int]) -> float | None:
    """Volume per time over usual volume per time; None where either is not known."""
    if not recent[1] or not usual[1]:
        return None
    if not usual[0]:
        return math.inf if recent[0] else 0.0
    return recent[0] * usual[1] / (recent[1] * usual[0])
