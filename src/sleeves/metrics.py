"""Metrics for Prometheus: a collector over a desk, and over the pulse of its run. Needs the extra `metrics`.

    metrics = DeskMetrics(desk, pulse)
    registry.register(metrics)                       the user's own registry; none is touched by itself
    tasks.start_soon(metrics.keep, anyio.sleep)      looks at the desk every five seconds

A scrape is answered with what was seen at the last look, all of one moment, never with the desk itself: servers answer from
threads of their own, and would read books in the middle of an entry. `sleeves_time_seconds` says which moment that was.

Numbers are floats, for eyes and for alarms: nothing may ever be booked, sized or settled by them. What is not known has no
sample, and is never a zero. It knows no server and no clock: `keep` is handed how to sleep.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

from .desk import Desk
from .errors import MissingExtra, VaultError
from .logs import accounts_of
from .margin import Check, collateral, free_collateral, health_bp, leverage_bp
from .market import BP, SECOND
from .money import Amount, Asset
from .orders import Fill
from .pulse import Pulse
from .records import Alert, Record, Refusal
from .status import Status

__all__ = ["DeskMetrics"]

log = logging.getLogger("sleeves.metrics")
log.addHandler(logging.NullHandler())

MOST_SERIES = 1_000
"""Different refusals, and different alerts, that are counted apart; what comes beyond is counted under `other`."""

_SLEEVE = ("sleeve", "vault", "asset")
_VAULT = ("vault", "asset")
_GAUGES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "time_seconds": ("The desk's time at the last look, in seconds since 1970.", ()),
    "equity": ("What a sleeve is worth at the latest prices, in its vault's asset.", _SLEEVE),
    "allocated": ("What a sleeve was allocated.", _SLEEVE),
    "free": ("What a sleeve may use.", _SLEEVE),
    "held": ("What a sleeve's open orders hold.", _SLEEVE),
    "realized": ("What a sleeve's trades have made, fees apart.", _SLEEVE),
    "fees": ("What a sleeve has paid in fees.", _SLEEVE),
    "total": ("What a core vault holds.", _VAULT),
    "tradeable": ("What of a core vault is put at risk.", _VAULT),
    "health": ("Health of the account that a vault's contracts are in: 100 is safe, 0 may be liquidated.", ("vault",)),
    "leverage": ("Contracts over equity of that account, with all open orders filled.", ("vault",)),
    "collateral": ("What counts as collateral in that account at maintenance.", _VAULT),
    "free_collateral": ("What the initial requirement leaves of its collateral.", _VAULT),
    "orders_open": ("Orders that the venue has, or may have.", ("sleeve",)),
    "orders_in_doubt": ("Orders whose fate is unknown.", ()),
    "residuals": ("Differences from the venue that nobody has explained.", ()),
    "quarantined": ("Facts that are told and not booked.", ()),
    "price_age_seconds": ("Desk time since the last price.", ("instrument",)),
    "records_waiting": ("Journal records that are not durable yet.", ()),
    "venue_silence_seconds": ("Real time since a venue's last event.", ("venue",)),
    "venue_lost": ("1 while a venue's feed is lost.", ("venue",)),
    "queue_depth": ("Events of a venue that wait to be handled.", ("venue",)),
    "queue_depth_most": ("The most that ever waited.", ("venue",)),
    "lag_median_seconds": ("From the receipt of an event to the end of its handling, median of the latest.", ("venue",)),
    "lag_p99_seconds": ("The same, 99th percentile.", ("venue",)),
    "time_to_flat_seconds": ("From the last kill that closes positions until all was flat.", ()),
}
_COUNTERS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "records": ("Records in the journal.", ()),
    "fills": ("Fills booked since the collector was made.", ("sleeve",)),
    "refusals": ("Wishes that gates refused since the collector was made.", ("gate", "reason")),
    "alerts": ("Alerts since the collector was made.", ("level", "code")),
    "faults": ("Engines that raised.", ("sleeve",)),
    "events": ("Events that came from a venue.", ("venue",)),
    "events_conflated": ("Prices and news that newer ones took the place of before they were handled.", ("venue",)),
    "reader_waits": ("How often a venue's reader had to wait because the queue was full.", ("venue",)),
    "reconnects": ("How often a venue's feed was lost and came back.", ("venue",)),
    "commands": ("Commands handed to venues.", ()),
    "errors": ("Errors that the run survived, by class.", ("error",)),
    "syncs": ("How often the books were held against a venue, and that came through.", ()),
    "decisions_stuck": ("Decisions of engines that took longer than the run's patience.", ()),
}

_Samples = dict[str, list[tuple[tuple[str, ...], float]]]


class DeskMetrics:
    """A collector for a Prometheus registry: `registry.register(DeskMetrics(desk, pulse))`. All names begin with `sleeves_`.

    It looks at the desk when it is made, at each `refresh`, and within `keep`; refusals, alerts and fills are counted from
    the journal as they happen. `pulse` adds what only a run knows: queues, lag, errors. Raises `MissingExtra` without
    prometheus_client, `VaultError` for what is no desk or no pulse.
    """

    def __init__(self, desk: Desk, pulse: Pulse | None = None) -> None:
        try:
            from prometheus_client import core
        except ImportError as error:
            raise MissingExtra("prometheus_client", "metrics", "metrics for Prometheus") from error
        if not isinstance(desk, Desk):
            raise VaultError(f"metrics are of a Desk, not of {desk!r}")
        if pulse is not None and not isinstance(pulse, Pulse):
            raise VaultError(f"the pulse of a run is a Pulse, not {pulse!r}")
        self._core: Any = core
        self._desk = desk
        self._pulse = pulse
        self._refusals: Counter[tuple[str, ...]] = Counter()
        self._alerts: Counter[tuple[str, ...]] = Counter()
        self._fills: Counter[tuple[str, ...]] = Counter()
        self._seen: Sequence[Any] = ()
        self._failed = False
        self._end = desk.books.listen(self._hear)
        self.refresh()

    # -- counting, in the desk's own step --------------------------------------------------------------------------

    def _hear(self, record: Record) -> None:
        kind = type(record)
        if kind is Refusal:
            _count(self._refusals, (record.gate, record.reason), record.times)  # type: ignore[union-attr]
        elif kind is Fill:
            _count(self._fills, (record.order_id.rpartition("-")[0],))  # type: ignore[union-attr]
        elif kind is Alert:
            _count(self._alerts, (record.level.value, record.code))  # type: ignore[union-attr]

    # -- looking ---------------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Look at the desk now: scrapes are answered with this until the next look. For the desk's own thread."""
        gauges: _Samples = {name: [] for name in _GAUGES}
        counters: _Samples = {name: [] for name in _COUNTERS}
        self._look_at_money(gauges)
        self._look_at_work(gauges, counters)
        if self._pulse is not None:
            self._look_at_run(self._pulse, gauges, counters)
        families = [self._family(self._core.GaugeMetricFamily, name, _GAUGES[name], samples) for name, samples in gauges.items()]
        families += [self._family(self._core.CounterMetricFamily, name, _COUNTERS[name], samples) for name, samples in counters.items()]
        self._seen = (*families, self._statuses(self._desk.statuses))

    def _look_at_money(self, gauges: _Samples) -> None:
        desk = self._desk
        marks = desk.marks()
        for vault in desk.treasury.vaults:
            code = vault.asset.code
            for name, amount in (("total", vault.total), ("tradeable", vault.tradeable)):
                gauges[name].append(((vault.owner, code), _float(amount)))
            for sleeve in vault.sleeves.values():
                labels = (sleeve.name, vault.owner, code)
                equity = sleeve.equity(marks)
                gauges["equity"] += [] if equity is None else [(labels, _float(equity))]
                for name, amount in (
                    ("allocated", sleeve.allocation),
                    ("free", sleeve.free),
                    ("held", sleeve.held),
                    ("realized", sleeve.realized),
                    ("fees", sleeve.fees),
                ):
                    gauges[name].append((labels, _float(amount)))
            for name, account in accounts_of(desk, vault).items():
                leverage = leverage_bp(account)
                gauges["health"].append(((name,), health_bp(account) / 100))
                gauges["leverage"] += [] if leverage is None else [((name,), leverage / BP)]
                gauges["collateral"].append(((name, code), _units(collateral(account, Check.MAINTENANCE), vault.asset)))
                gauges["free_collateral"].append(((name, code), _units(free_collateral(account, Check.INITIAL), vault.asset)))

    def _look_at_work(self, gauges: _Samples, counters: _Samples) -> None:
        desk, books = self._desk, self._desk.books
        open_ = Counter(order.sleeve for order in desk.open_orders())
        gauges["orders_open"] += [((name,), open_[name]) for vault in desk.treasury.vaults for name in vault.sleeves]
        gauges["price_age_seconds"] += [((symbol,), (books.now - mark.at) / SECOND) for symbol, mark in desk.marks().items()]
        for name, value in (
            ("time_seconds", books.now / SECOND),
            ("orders_in_doubt", len(desk.in_doubt)),
            ("residuals", len(books.residuals)),
            ("quarantined", sum(map(len, books.quarantine.values()))),
            ("records_waiting", books.journal.waiting),
        ):
            gauges[name].append(((), value))
        counters["records"].append(((), len(books.journal)))
        faults = Counter((name,) for name, _ in desk.faults)
        for name, counts in (("refusals", self._refusals), ("alerts", self._alerts), ("fills", self._fills), ("faults", faults)):
            counters[name] += list(counts.items())

    @staticmethod
    def _look_at_run(pulse: Pulse, gauges: _Samples, counters: _Samples) -> None:
        now = pulse.clock()
        for name, one in pulse.venues.items():
            known = {
                "venue_silence_seconds": None if one.last is None else now - one.last,
                "venue_lost": float(one.lost),
                "queue_depth": one.depth,
                "queue_depth_most": one.most_depth,
                "lag_median_seconds": one.median_lag,
                "lag_p99_seconds": one.p99_lag,
            }
            for gauge, value in known.items():
                gauges[gauge] += [] if value is None else [((name,), value)]
            told = {"events": one.events, "events_conflated": one.conflated, "reader_waits": one.waits, "reconnects": one.reconnects}
            for counter, count in told.items():
                counters[counter].append(((name,), count))
        gauges["time_to_flat_seconds"] += [] if pulse.time_to_flat is None else [((), pulse.time_to_flat)]
        counters["errors"] += [((kind,), count) for kind, count in pulse.errors.items()]
        for counter, count in (("commands", pulse.commands), ("syncs", pulse.syncs), ("decisions_stuck", pulse.stuck)):
            counters[counter].append(((), count))

    def _family(self, kind: Any, name: str, said: tuple[str, tuple[str, ...]], samples: Iterable[tuple[tuple[str, ...], float]]) -> Any:
        text, labels = said
        family = kind("sleeves_" + name, text, labels=labels)
        for values, number in samples:
            family.add_metric([_label(value) for value in values], number)
        return family

    def _statuses(self, statuses: Mapping[str, Status]) -> Any:
        """One series for each status that a subject may have: 1 for the one that it has."""
        family = self._core.StateSetMetricFamily("sleeves_status", "How the desk, venues, vaults and sleeves stand.", labels=("subject",))
        for subject, status in statuses.items():
            family.add_metric([_label(subject)], {one.value: one is status for one in Status})
        return family

    async def keep(self, sleep: Callable[[float], Awaitable[object]], every: float = 5.0) -> None:
        """Look every so many seconds, until canceled: for a task group beside `trade`, with `anyio.sleep`.

        A look that fails is logged, and the last good one stands.
        """
        while True:
            try:
                self.refresh()
            except Exception:  # what only watches must not end the run that it watches
                if not self._failed:
                    log.exception("the desk could not be looked at; scrapes are answered with the last good look")
                self._failed = True
            else:
                self._failed = False
            await sleep(every)

    # -- asked by a registry, from any thread --------------------------------------------------------------------------

    def collect(self) -> Iterable[Any]:
        """What was seen at the last look."""
        return self._seen

    def describe(self) -> Iterable[Any]:
        """The same without samples, by which a registry refuses a second one of the same names."""
        families = [self._family(self._core.GaugeMetricFamily, name, said, ()) for name, said in _GAUGES.items()]
        families += [self._family(self._core.CounterMetricFamily, name, said, ()) for name, said in _COUNTERS.items()]
        return [*families, self._statuses({})]

    def close(self) -> None:
        """Count no more. Unregister it apart."""
        self._end()


def _count(counts: Counter[tuple[str, ...]], labels: tuple[str, ...], times: int = 1) -> None:
    counts[labels if labels in counts or len(counts) < MOST_SERIES else ("other",) * len(labels)] += times


def _label(text: str) -> str:
    """Text that can be sent."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _float(amount: Amount) -> float:
    return _units(amount.units, amount.asset)


def _units(units: int, asset: Asset) -> float:
    return units / int(10**asset.scale)
