"""Pods: named groups of instruments that take turns, each with a budget and a priority that outcomes move.

Who has its turn is a function of what came of the turns before and of the time: no dice. What a pod's instruments are
worth trading for, and when, is not known here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum

from attrs import Factory, define, field, frozen

from ..errors import InvalidAmount, InvalidMarket
from ..market import MINUTE, SECOND, Instrument, Kind
from ..money import Amount, AmountLike
from .rates import finite

__all__ = ["Feedback", "Outcome", "Pod", "Standing", "Turns", "check_pods"]


def _markets(given: Iterable[Instrument] | Instrument) -> tuple[Instrument, ...]:
    return tuple(given) if isinstance(given, Iterable) else (given,)


@frozen
class Pod:
    """A group of spot instruments of one quote coin: what it may cost at most, in quote coins, and its first priority.

    Raises `InvalidMarket` for no name, no instrument, one twice, a contract, or quote coins that differ.
    """

    name: str
    markets: tuple[Instrument, ...] = field(converter=_markets)
    budget: AmountLike
    priority: float = field(default=5.0, converter=finite)

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise InvalidMarket(f"a pod has a name, not {self.name!r}")
        if not self.markets or not all(isinstance(market, Instrument) for market in self.markets):
            raise InvalidMarket(f"pod {self.name} is of Instruments, not of {self.markets!r}")
        contracts = [market.symbol for market in self.markets if market.kind is not Kind.SPOT]
        if contracts:
            raise InvalidMarket(f"pod {self.name}: {contracts[0]} is a contract; only spot is bought here, and never sold short")
        if self.money.units <= 0:
            raise InvalidAmount(f"the budget {self.budget} of pod {self.name} must be positive")

    @property
    def money(self) -> Amount:
        """The budget, in the quote coin."""
        return self.markets[0].quote(self.budget)


def check_pods(pods: Sequence[Pod], least: float, most: float) -> None:
    """Raises `InvalidMarket` unless they are pods of one quote coin, each with a name and instruments of its own."""
    if not pods or not all(isinstance(pod, Pod) for pod in pods):
        raise InvalidMarket(f"need at least one Pod, not {pods!r}")
    names: set[str] = set()
    symbols: dict[str, str] = {}
    for pod in pods:
        if pod.name in names:
            raise InvalidMarket(f"two pods are named {pod.name}")
        names.add(pod.name)
        if not least <= pod.priority <= most:
            raise InvalidAmount(f"priority {pod.priority:g} of pod {pod.name} must lie from {least:g} to {most:g}")
        for market in pod.markets:
            if market.quote != pods[0].markets[0].quote:
                raise InvalidMarket(f"{market.symbol} is quoted in {market.quote}, not in {pods[0].markets[0].quote} like the others")
            if market.symbol in symbols:
                raise InvalidMarket(f"{market.symbol} is in pod {symbols[market.symbol]} and again in pod {pod.name}")
            symbols[market.symbol] = pod.name


class Outcome(StrEnum):
    """What came of a pod's turn, or of its trade."""

    FOUND = "found"
    """An entry was asked for."""
    WON = "won"
    LOST = "lost"
    STOPPED = "stopped"
    """Closed by its stop."""
    FAILED = "failed"
    """An entry was asked for and nothing was bought."""
    NOTHING = "nothing"
    """Its prices were looked at and none was worth an entry."""


@frozen
class Feedback:
    """How outcomes move a pod's priority, which lies from `least` to `most`: the higher goes first.

    A win sets it to `most`, and the pod's next turn comes as if it had never had one. The other outcomes add what is
    said here, `nothing` only down to `bored`. After `patience` losses and failures in a row, and after each stop, a pod
    rests for `rest`. Waiting counts as one point of priority each `point`, at most `most_points`.
    """

    least: float = field(default=1.0, converter=finite)
    most: float = field(default=10.0, converter=finite)
    found: float = field(default=1.0, converter=finite)
    lost: float = field(default=-1.0, converter=finite)
    failed: float = field(default=-1.0, converter=finite)
    stopped: float = field(default=-2.0, converter=finite)
    nothing: float = field(default=-0.5, converter=finite)
    bored: float = field(default=3.0, converter=finite)
    patience: int = 2
    rest: int = 2 * MINUTE
    point: int = MINUTE
    most_points: float = field(default=5.0, converter=finite)

    def __attrs_post_init__(self) -> None:
        if not self.least < self.most or not self.least <= self.bored <= self.most:
            raise InvalidAmount(f"priorities from {self.least:g} to {self.most:g}, bored at {self.bored:g}: need least <= bored <= most")
        if self.found < 0 or max(self.lost, self.failed, self.stopped, self.nothing) > 0 or self.most_points < 0:
            raise InvalidAmount(f"{self}: what is found raises a priority, the rest lowers it, and waiting counts for it")
        for what, floor in (("patience", 1), ("rest", 0), ("point", 1)):
            value = getattr(self, what)
            if type(value) is not int or value < floor:
                raise InvalidAmount(f"{what} {value!r} must be a whole number, at least {floor}")


@define
class Standing:
    """Where a pod stands: its priority, and what that follows from."""

    priority: float
    failures: int = 0
    """Losses and failures in a row."""
    rests_until: int = 0
    turned_at: int = -1
    """When its last turn began; -1: never, or it has just won."""
    looked: bool = False
    """Whether a price of it was looked at in its turn."""
    found: bool = False

    def tell(self, outcome: Outcome, now: int, by: Feedback) -> None:
        if outcome is Outcome.WON:
            self.priority, self.failures, self.turned_at = by.most, 0, -1
            return
        if outcome is Outcome.FOUND:
            self.priority, self.found = min(by.most, self.priority + by.found), True
            return
        if outcome is Outcome.NOTHING:
            if self.priority > by.bored:
                self.priority = max(by.bored, self.priority + by.nothing)
            return
        step = {Outcome.LOST: by.lost, Outcome.FAILED: by.failed, Outcome.STOPPED: by.stopped}[outcome]
        self.priority = max(by.least, self.priority + step)
        self.failures += 1
        if outcome is Outcome.STOPPED or self.failures >= by.patience:
            self.rests_until, self.failures = now + by.rest, 0


@define
class Turns:
    """Who has its turn now. At most `count` pods at a time, for `length` ns; each `neglected_every`-th scan one more.

    In order of priority plus points for waiting, the first named first among equals; resting pods are passed over. The
    one more is the pod that waited longest of those that are left.
    """

    standings: dict[str, Standing]
    ends: int = -1
    scan: int = 0
    now: tuple[str, ...] = Factory(tuple)

    @classmethod
    def begin(cls, pods: Sequence[Pod]) -> Turns:
        return cls({pod.name: Standing(pod.priority) for pod in pods})

    def has(self, pod: str, now: int) -> bool:
        """Whether a pod has its turn now, and does not rest."""
        return pod in self.now and self.standings[pod].rests_until <= now

    def tell(self, pod: str, outcome: Outcome, now: int, by: Feedback) -> None:
        """Raises `InvalidMarket` for what is no pod's name, such as an instrument's."""
        standing = self.standings.get(pod)
        if standing is None:
            raise InvalidMarket(f"{pod!r} is no pod: the pods are {', '.join(self.standings)}")
        standing.tell(outcome, now, by)

    def take(self, now: int, by: Feedback, *, count: int, length: int, neglected_every: int) -> bool:
        """Pass the turn on if it is over; whether it was."""
        if now < self.ends:
            return False
        for name in self.now:
            standing = self.standings[name]
            if standing.looked and not standing.found:
                standing.tell(Outcome.NOTHING, now, by)
            standing.looked = standing.found = False
        self.ends, self.scan = now + length, self.scan + 1
        awake = {name: one for name, one in self.standings.items() if one.rests_until <= now}
        ranked = sorted(awake, key=lambda name: -score(awake[name], now, by))
        chosen = ranked[:count]
        if self.scan % neglected_every == 0 and ranked[count:]:
            chosen.append(min((name for name in awake if name not in chosen), key=lambda name: awake[name].turned_at))
        for name in chosen:
            awake[name].turned_at = now
        self.now = tuple(chosen)
        if len(chosen) < count:  # whose rest ends need not wait for others' turns to end
            self.ends = min([self.ends, *(one.rests_until for one in self.standings.values() if one.rests_until > now)])
        return True

    def told(self, now: int) -> Mapping[str, str]:
        """For people: who has its turn, and where each stands."""
        stands = (
            f"{name} {one.priority:g}" + (f" rests {(one.rests_until - now) / SECOND:.0f} s" if one.rests_until > now else "")
            for name, one in self.standings.items()
        )
        return {"turn": ", ".join(self.now) or "nobody", "priorities": ", ".join(stands)}


def score(standing: Standing, now: int, by: Feedback) -> float:
    """Priority plus a point for each `point` ns of waiting, at most `most_points`: what a turn is given by."""
    waited = by.most_points if standing.turned_at < 0 else (now - standing.turned_at) / by.point
    return standing.priority + min(by.most_points, waited)
