"""The pulse of a run: plain counters that the live shell keeps, and a picture of its health for whoever asks.

    pulse = Pulse()
    tasks.start_soon(partial(trade, desk, venue, pulse=pulse))
    health = pulse.snapshot(desk)          # health.ok, health.why, health.rows()

Counters are of this process and begin at nothing; what must outlive it is in the journal. Times between two events are
real seconds by the clock that is handed in, ages of prices are in the desk's own time, so that a simulated run is judged by
its own calendar. It looks and moves nothing, and knows no exporter.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from math import inf

from attrs import field, frozen

from .desk import Desk
from .errors import VaultError
from .market import SECOND
from .records import Alert, Changed, Level, Record
from .standings import DESK, venue_subject
from .status import Status

__all__ = ["Health", "Pulse", "VenuePulse"]

LAGS = 2_048
"""How many of the latest lags are remembered for each venue."""
ILL = frozenset({Status.IMPAIRED, Status.CLOSE_ONLY})
"""What no human asked for."""


def _percentile(lags: Sequence[float], part: float) -> float | None:
    """The value that so much of the lags is not above (nearest rank); None of none."""
    return sorted(lags)[min(len(lags) - 1, int(part * len(lags)))] if lags else None


class VenuePulse:
    """What a run has seen of one venue."""

    __slots__ = ("conflated", "depth", "errors", "events", "lags", "last", "lost", "most_depth", "reconnects", "waits")

    def __init__(self) -> None:
        self.events = 0
        """Events that came from the wire, those that newer ones took the place of included."""
        self.conflated = 0
        """Prices and news that were never handled because newer ones came first."""
        self.depth = 0
        """Events that wait to be handled."""
        self.most_depth = 0
        self.waits = 0
        """How often its reader had to wait because too many events did."""
        self.reconnects = 0
        """How often its feed was lost and came back."""
        self.lost = False
        """Whether its feed is lost now."""
        self.errors: Counter[str] = Counter()
        """What its feed and its answers raised, by the name of the class."""
        self.last: float | None = None
        """When its last event came, by the pulse's clock."""
        self.lags: deque[float] = deque(maxlen=LAGS)
        """Seconds from the receipt of an event to the end of its handling, the latest ones."""

    @property
    def median_lag(self) -> float | None:
        """In seconds; None while nothing was handled."""
        return _percentile(self.lags, 0.5)

    @property
    def p99_lag(self) -> float | None:
        return _percentile(self.lags, 0.99)


@frozen(order=False)
class Health:
    """How a desk and its run stand at one moment, as plain values. `ok` is whether new risk may be taken as intended.

    What a human stopped is as intended: paused, halted and deactivated are no illness.
    """

    at: int
    """The desk's time, in nanoseconds."""
    ok: bool
    why: tuple[str, ...]
    """What is not well, in words; nothing where all is."""
    statuses: Mapping[str, str] = field(hash=False)
    """By name in the journal: `desk:main`, `venue:<name>`, vaults, sleeves."""
    latches: Mapping[str, tuple[str, ...]] = field(hash=False)
    """By the same names, what holds them; those that nothing holds are left out."""
    faults: Mapping[str, str] = field(hash=False)
    """By sleeve, why its engine is asked no more after it raised."""
    price_ages: Mapping[str, float] = field(hash=False)
    """By symbol, seconds of the desk's time since its last price."""
    reconciled_ages: Mapping[str, float | None] = field(hash=False)
    """By wallet, seconds of the desk's time since it was held against its venue; None for never."""
    silences: Mapping[str, float | None] = field(hash=False)
    """By venue, real seconds since its last event; None for none yet."""
    in_doubt: tuple[str, ...]
    """Orders of unknown fate."""
    residuals: tuple[str, ...]
    """What stands unexplained."""
    quarantine: int
    """Facts that nobody was found for."""
    waiting: int
    """Records that the journal has not made durable."""
    alerts: Mapping[str, int] = field(hash=False)
    """Alerts by level since the pulse was attached."""
    median_lag: float | None
    """In seconds, over all venues."""
    p99_lag: float | None
    flattening: tuple[str, ...]
    """Sleeves that are being closed and are not flat yet."""

    def rows(self) -> list[tuple[str, str, str]]:
        """(what, of whom, how much) as text, for a table or a page."""
        rows = [("ok", "", str(self.ok).lower()), *(("why", "", one) for one in self.why)]
        rows += [("status", name, status) for name, status in self.statuses.items()]
        rows += [("latch", name, cause) for name, causes in self.latches.items() for cause in causes]
        rows += [("fault", name, text) for name, text in self.faults.items()]
        for what, ages in (("price_age_s", self.price_ages), ("reconciled_age_s", self.reconciled_ages), ("silence_s", self.silences)):
            rows += [(what, name, _seconds(age)) for name, age in ages.items()]
        rows += [("in_doubt", name, "") for name in self.in_doubt] + [("residual", "", text) for text in self.residuals]
        rows += [("flattening", name, "") for name in self.flattening]
        rows += [("quarantine", "", str(self.quarantine)), ("journal_waiting", "", str(self.waiting))]
        rows += [("alerts", level, str(count)) for level, count in self.alerts.items()]
        return [*rows, ("median_lag_s", "", _seconds(self.median_lag)), ("p99_lag_s", "", _seconds(self.p99_lag))]

    def __str__(self) -> str:
        return "ok" if self.ok else "not ok: " + "; ".join(self.why)


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.6g}"


class Pulse:
    """Counters of a run, handed to `trade(..., pulse=pulse)`. One may serve several runs one after the other.

    A run is not well when the lag's 99th percentile exceeds `most_lag` seconds, a venue has told nothing for `most_silence`
    (None: whatever it does), or more than `most_waiting` records are not durable. Raises `VaultError` for limits below zero.
    """

    def __init__(
        self,
        *,
        most_lag: float = 1.0,
        most_silence: float | None = 60.0,
        most_waiting: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        for name, value in (("most_lag", most_lag), ("most_silence", most_silence), ("most_waiting", most_waiting)):
            if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < inf):
                raise VaultError(f"{name} {value!r} must be a number of zero or more")
        self.clock = clock
        self.most_lag, self.most_silence, self.most_waiting = most_lag, most_silence, most_waiting
        self.venues: dict[str, VenuePulse] = {}
        self.commands = 0
        """Commands that were handed to venues because of events."""
        self.errors: Counter[str] = Counter()
        """What was raised and survived, by the name of the class: venues that failed, looks that did not come through."""
        self.alerts: Counter[str] = Counter()
        """By level."""
        self.syncs = 0
        """How often the books were held against a venue and that came through."""
        self.stuck = 0
        """Decisions that took longer than the run's patience."""
        self.time_to_flat: float | None = None
        """Seconds from the last kill that closes positions until all that it closes was flat; None while none was."""
        self.runs: int | None = None
        """How many runs are on; None while there was none yet."""
        self._closing: dict[str, float] = {}

    @property
    def events(self) -> int:
        return sum(one.events for one in self.venues.values())

    @property
    def conflated(self) -> int:
        return sum(one.conflated for one in self.venues.values())

    @property
    def depth(self) -> int:
        return sum(one.depth for one in self.venues.values())

    @property
    def reconnects(self) -> int:
        return sum(one.reconnects for one in self.venues.values())

    @property
    def median_lag(self) -> float | None:
        return _percentile(self._lags(), 0.5)

    @property
    def p99_lag(self) -> float | None:
        return _percentile(self._lags(), 0.99)

    def _lags(self) -> list[float]:
        return [lag for one in self.venues.values() for lag in one.lags]

    def venue(self, name: str) -> VenuePulse:
        known = self.venues.get(name)
        if known is None:
            known = self.venues[name] = VenuePulse()
        return known

    # -- told by the shell -------------------------------------------------------------------------------------------

    def heard(self, name: str) -> float:
        """An event came from the wire; returns when."""
        one, now = self.venue(name), self.clock()
        one.events += 1
        one.last = now
        return now

    def handled(self, name: str, since: float, desk: Desk) -> None:
        """An event that came at `since` is handled, and what came of it was carried out."""
        self.venue(name).lags.append(self.clock() - since)
        if self._closing:
            self.look(desk)

    def failed(self, error: BaseException, name: str = "") -> None:
        """Something was raised, and the run goes on."""
        kind = type(error).__name__
        self.errors[kind] += 1
        if name:
            self.venue(name).errors[kind] += 1

    def attach(self, desk: Desk) -> Callable[[], None]:
        """Count what the desk's journal keeps from here on, for a run; returns what ends it."""
        stop, on = desk.books.listen(self._note), True
        self.runs = (self.runs or 0) + 1

        def end() -> None:
            nonlocal on
            stop()
            if on:
                self.runs = (self.runs or 0) - 1
            on = False

        return end

    def _note(self, record: Record) -> None:
        if isinstance(record, Alert):
            self.alerts[record.level.value] += 1
        elif isinstance(record, Changed) and record.what == "flatten":
            if record.after and not record.before:
                if not self._closing:
                    self.time_to_flat = None
                self._closing[record.subject] = self.clock()
            elif not record.after:
                self._closing.pop(record.subject, None)

    def look(self, desk: Desk) -> None:
        """See whether what is being closed is flat."""
        if not self._closing:
            return
        ordered = {order.sleeve for order in desk.open_orders()}
        now = self.clock()
        for vault in desk.treasury.vaults:
            for name in [name for name in self._closing if name in vault.sleeves]:
                if name not in ordered and vault.sleeves[name].is_flat():
                    self.time_to_flat = max(self.time_to_flat or 0.0, now - self._closing.pop(name))

    # -- asked by people -----------------------------------------------------------------------------------------------

    def snapshot(self, desk: Desk) -> Health:
        """How the desk and this run stand now. Nothing is asked of a venue."""
        self.look(desk)
        books, now, clock = desk.books, desk.books.now, self.clock()
        vaults = desk.treasury.vaults
        held = {venue_subject(name): desk.latches(name) for name in self.venues} | {DESK: desk.latches(desk)}
        for vault in vaults:
            held |= {vault.owner: desk.latches(vault), **{name: desk.latches(sleeve) for name, sleeve in vault.sleeves.items()}}
        statuses = {name: str(status) for name, status in desk.statuses.items()}
        raised = {name for name, _ in desk.faults}
        faults = {name: seat.idle_reason for name, seat in desk.engines.items() if name in raised and seat.idle_reason}
        wallets = sorted({vault.wallet for vault in vaults})
        reconciled = {name: (now - books.reconciled[name]) / SECOND if name in books.reconciled else None for name in wallets}
        silences = {name: None if one.last is None else clock - one.last for name, one in self.venues.items()}
        lags = sorted(self._lags())
        lost = books.failed or getattr(books.journal, "failed", "")
        why = [
            *([f"the journal failed, and the desk is dead: {lost}"] if lost else []),
            *(f"{name} is {status}" for name, status in statuses.items() if status in ILL),
            *(f"the engine of {name} was stopped: {reason}" for name, reason in faults.items()),
            *(f"{name} is to be flat and is not" for name in self._closing),
            *(f"{name} is halted, and nothing closes what it holds" for name in self._unclosed(desk) if name not in self._closing),
            *(f"{name} moves real money and is not armed" for name in desk.not_armed),
            *(f"the feed of {name} is lost" for name, one in self.venues.items() if one.lost),
            *(f"{name} has told nothing for {age:.0f} s" for name, age in silences.items() if self._too_quiet(age)),
            *(f"the fate of {order.id} is unknown" for order in desk.in_doubt),
            *self._unexplained(desk),
        ]
        p99 = _percentile(lags, 0.99)
        why += [f"99% of events are handled within {p99:.3g} s, above {self.most_lag:g}"] if p99 is not None and p99 > self.most_lag else []
        waiting = books.journal.waiting
        why += [f"{waiting} records are not durable"] if waiting > self.most_waiting else []
        return Health(
            at=now,
            ok=not why,
            why=tuple(why),
            statuses=statuses,
            latches={name: tuple(map(str, latches)) for name, latches in held.items() if latches},
            faults=faults,
            price_ages={symbol: (now - mark.at) / SECOND for symbol, mark in desk.marks().items()},
            reconciled_ages=reconciled,
            silences=silences,
            in_doubt=tuple(order.id for order in desk.in_doubt),
            residuals=tuple(map(str, books.residuals.values())),
            quarantine=sum(map(len, books.quarantine.values())),
            waiting=waiting,
            alerts={level.value: self.alerts[level.value] for level in Level},
            median_lag=_percentile(lags, 0.5),
            p99_lag=p99,
            flattening=self._unclosed(desk),
        )

    def _unclosed(self, desk: Desk) -> tuple[str, ...]:
        """Sleeves that somebody closes, or that were killed, and that still have something, or orders out."""
        ordered = {order.sleeve for order in desk.open_orders()}
        sleeves = [sleeve for vault in desk.treasury.vaults for sleeve in vault.sleeves.values()]
        halted = [one for one in sleeves if one.own_status is Status.HALTED and (one.name in ordered or not one.is_flat())]
        return tuple(dict.fromkeys([*self._closing, *(one.name for one in halted)]))

    def _too_quiet(self, age: float | None) -> bool:
        return self.most_silence is not None and age is not None and age > self.most_silence

    def _unexplained(self, desk: Desk) -> list[str]:
        """What stands in the way of new risk because nobody knows whose it is."""
        found = {
            f"{one.amount.asset} of {vault.wallet} does not add up"
            for one in desk.books.residuals.values()
            for vault in desk.treasury.vaults
            if vault.owner == one.vault and vault.unexplained(one.amount.asset)
        }
        return sorted(found)
