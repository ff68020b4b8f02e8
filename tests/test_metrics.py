"""Metrics: what a real scrape over HTTP says is what the desk and the pulse say; nothing is registered by itself, and no scrape is torn."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator
from typing import Any
from urllib.request import urlopen

import anyio
import pytest

from helpers import Puppet, carry, fill, new_desk
from sleeves import FLASH, QUIET, SOL, USD, USDC, CoreVault, Desk, Instrument, Place, Side
from sleeves.errors import MissingExtra, VaultError
from sleeves.market import SECOND, Kind
from sleeves.money import Rounding
from sleeves.orders import Accepted, Fill, Liquidity, SubmitOrder, Unanswered
from sleeves.pulse import Pulse
from sleeves.records import Level, Refusal

prometheus = pytest.importorskip("prometheus_client")
from prometheus_client.parser import text_string_to_metric_families  # noqa: E402

from sleeves.metrics import MOST_SERIES, DeskMetrics  # noqa: E402

both = pytest.mark.parametrize("backend", ["asyncio", "trio"])
PERP = Instrument("SOL-PERP", base=SOL, quote=USDC, tick="0.01", lot="0.01", kind=Kind.PERP)


class Scrape:
    """What one scrape said, by name and labels."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.types = {family.name: family.type for family in text_string_to_metric_families(text)}
        self.samples = {
            (one.name, tuple(sorted(one.labels.items()))): one.value
            for family in text_string_to_metric_families(text)
            for one in family.samples
        }

    def __call__(self, name: str, **labels: str) -> float | None:
        return self.samples.get((f"sleeves_{name}", tuple(sorted(labels.items()))))

    def of(self, name: str) -> dict[tuple[str, ...], float]:
        """All samples of a name, by the values of their labels."""
        return {tuple(v for _, v in labels): value for (one, labels), value in self.samples.items() if one == f"sleeves_{name}"}


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[Any, int]]:
    """A registry of its own, served over HTTP on this machine by prometheus_client itself; and its port."""
    registry = prometheus.CollectorRegistry()
    http, thread = prometheus.start_http_server(0, "127.0.0.1", registry=registry)
    yield registry, http.server_port
    http.shutdown()
    http.server_close()
    thread.join()


@pytest.fixture
def serve(server: tuple[Any, int]) -> Iterator[Any]:
    """Serve a collector; what is returned scrapes it."""
    registry, port = server
    served: list[DeskMetrics] = []

    def scrape() -> Scrape:
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            assert answer.status == 200
            return Scrape(answer.read().decode())

    def begin(metrics: DeskMetrics) -> Any:
        while served:
            registry.unregister(served.pop())
        registry.register(metrics)
        served.append(metrics)
        return scrape

    yield begin
    while served:
        registry.unregister(served.pop())


def contracts(price: str) -> tuple[Desk, CoreVault]:
    """60 contracts bought at 100 with 1,000."""
    vault = CoreVault(USDC, total="1000", tradeable="1000")
    desk, puppet = Desk(vault), Puppet(PERP)
    puppet.price = "100"
    puppet.sit(desk, vault.sleeve("a", QUIET, allocate="1000"))
    puppet.quote("100")
    command = puppet.wish(Place(PERP, Side.BUY, PERP.qty("60")))
    assert isinstance(command, SubmitOrder), command
    cost = PERP.cost(PERP.price("100"), PERP.qty("60"), Rounding.CEIL)
    what = (PERP, Side.BUY, PERP.qty("60"), PERP.price("100"), cost, USDC.zero, Liquidity.TAKER)
    desk.step(Fill(command.order.id, desk.books.now, *what, "t1", "v"))
    puppet.quote(price)
    return desk, vault


# -- what a scrape says --------------------------------------------------------------------------------------------------------


def test_money_of_sleeves_and_vaults(serve: Any) -> None:
    desk, vault, sleeve, puppet = new_desk(FLASH)
    metrics = DeskMetrics(desk)
    scrape = serve(metrics)
    carry(desk, puppet.buy("0.1", "10000"))
    puppet.quote("11000")
    metrics.refresh()
    said, labels = scrape(), {"sleeve": "a", "vault": vault.owner, "asset": "USD"}
    assert said("allocated", **labels) == 5000
    assert said("free", **labels) == 3997.5 == float(sleeve.free.text)
    assert said("equity", **labels) == 5097.5 == float(sleeve.equity(desk.marks()).text)
    assert said("fees", **labels) == 2.5
    assert said("held", **labels) == said("realized", **labels) == 0
    assert said("total", vault=vault.owner, asset="USD") == 19997.5 == float(vault.total.text)
    assert said("tradeable", vault=vault.owner, asset="USD") == 15000
    assert said("fills_total", sleeve="a") == 1
    assert said("records_total") == len(desk.books.journal)
    assert said("time_seconds") == desk.books.now / SECOND
    assert said("price_age_seconds", instrument="BTC/USD") == 0


def test_what_is_not_known_has_no_sample(serve: Any) -> None:
    """Not a zero: no alarm is to be told that equity, health or lag is nothing."""
    vault = CoreVault(USD, total="100", tradeable="100")
    vault.sleeve("a", FLASH, allocate="50")
    said = serve(DeskMetrics(Desk(vault)))()
    for name in ("health", "leverage", "collateral", "free_collateral", "time_to_flat_seconds", "lag_median_seconds", "price_age_seconds"):
        assert said.of(name) == {}
        assert f"# HELP sleeves_{name} " in said.text
    desk, _, _, puppet = new_desk(FLASH)
    carry(desk, puppet.buy("0.1", "10000"))
    desk._boards["BTC/USD"].bid = 0
    said = serve(DeskMetrics(desk))()
    assert said.of("equity") == {}
    assert len(said.of("free")) == 1


def test_health_and_leverage_of_contracts(serve: Any) -> None:
    """60 at 95 on 1,000: 700 stand behind 285 to keep and 570 to open."""
    desk, vault = contracts("95")
    metrics = DeskMetrics(desk)
    scrape = serve(metrics)
    said = scrape()
    assert said("health", vault=vault.owner) == 59.28
    assert said("leverage", vault=vault.owner) == 8.1428
    assert said("collateral", vault=vault.owner, asset="USDC") == 700
    assert said("free_collateral", vault=vault.owner, asset="USDC") == 130
    desk.books.now += 3_600 * SECOND  # the price is old: the health is not known any more
    metrics.refresh()
    said = scrape()
    assert said.of("health") == {}
    assert said("price_age_seconds", instrument="SOL-PERP") == 3_600


def test_refusals_by_gate_and_reason_as_often_as_they_came(serve: Any) -> None:
    desk, _, _, puppet = new_desk(FLASH, allocate="100")
    metrics = DeskMetrics(desk)
    scrape = serve(metrics)
    for _ in range(5):
        puppet.buy("1", "10000")
    puppet.buy("0.00001", "10000")
    metrics.refresh()
    refusals = [record for record in desk.books.journal if isinstance(record, Refusal)]
    said = scrape()
    assert said("refusals_total", gate="funds", reason="funds") == 5
    assert said("refusals_total", gate="size", reason="min_qty") == 1
    assert sum(said.of("refusals_total").values()) == sum(record.times for record in refusals)


def test_alerts_by_level_and_code_and_faults_by_sleeve(serve: Any) -> None:
    desk, _, sleeve, puppet = new_desk(FLASH)
    metrics = DeskMetrics(desk)
    for level in (Level.WARNING, Level.WARNING, Level.CRITICAL):
        desk.alert(desk.books.now, level, sleeve.name, "overdrawn", "x")
    puppet.wishes = [object()]
    puppet.quote()
    metrics.refresh()
    said = serve(metrics)()
    assert said("alerts_total", level="warning", code="overdrawn") == 2
    assert said("alerts_total", level="critical", code="overdrawn") == 1
    assert said("alerts_total", level="critical", code="engine_fault") == 1
    assert said("faults_total", sleeve="a") == 1


def test_orders_open_and_in_doubt(serve: Any) -> None:
    desk, _, sleeve, puppet = new_desk(FLASH)
    metrics = DeskMetrics(desk)
    scrape = serve(metrics)
    assert scrape()("orders_open", sleeve="a") == 0
    first, second = puppet.buy("0.1", "10000"), puppet.buy("0.1", "10000")
    desk.step(Accepted(first.order.id, desk.books.now))
    desk.step(Unanswered(second.order.id, desk.books.now))
    metrics.refresh()
    said = scrape()
    assert (said("orders_open", sleeve="a"), said("orders_in_doubt")) == (2, 1)
    assert said("held", sleeve="a", vault=sleeve.vault.owner, asset="USD") == float(sleeve.held.text) > 2000
    desk.step(fill(second.order, price="10000"))
    metrics.refresh()
    assert scrape()("orders_in_doubt") == 0


def test_each_subject_has_one_status(serve: Any) -> None:
    desk, vault, sleeve, _ = new_desk(FLASH)
    metrics = DeskMetrics(desk)
    scrape = serve(metrics)
    desk.kill(sleeve, flatten=False, by="ann")
    metrics.refresh()
    said = scrape()
    states = {
        (dict(labels)["subject"], dict(labels)["sleeves_status"]): value
        for (name, labels), value in said.samples.items()
        if name == "sleeves_status"
    }
    assert states["a", "halted"] == 1
    assert states["a", "active"] == 0
    assert states[vault.owner, "active"] == 1
    for subject, status in desk.statuses.items():
        assert [state for (name, state), value in states.items() if name == subject and value] == [status.value]


def test_the_pulse_of_a_run(serve: Any) -> None:
    now = [100.0]
    pulse = Pulse(clock=lambda: now[0])
    desk, _, _, _ = new_desk(FLASH)
    for lag in (0.001, 0.002, 0.5):
        since = pulse.heard("kraken")
        now[0] += lag
        pulse.handled("kraken", since, desk)
    venue = pulse.venue("kraken")
    venue.depth, venue.most_depth, venue.conflated, venue.waits, venue.reconnects, venue.lost = 3, 9, 4, 2, 1, True
    pulse.venue("drift")
    pulse.failed(ValueError("x"), "kraken")
    pulse.commands, pulse.syncs, pulse.stuck, pulse.time_to_flat = 7, 5, 1, 1.25
    now[0] += 10
    said = serve(DeskMetrics(desk, pulse))()
    assert said("queue_depth", venue="kraken") == 3
    assert said("queue_depth_most", venue="kraken") == 9
    assert said("lag_median_seconds", venue="kraken") == pytest.approx(0.002)
    assert said("lag_p99_seconds", venue="kraken") == pytest.approx(0.5)
    assert said("venue_silence_seconds", venue="kraken") == pytest.approx(10.5)
    assert (said("venue_lost", venue="kraken"), said("venue_lost", venue="drift")) == (1, 0)
    assert said.of("venue_silence_seconds").keys() == said.of("lag_p99_seconds").keys() == {("kraken",)}
    assert said("events_total", venue="kraken") == 3
    assert said("events_conflated_total", venue="kraken") == 4
    assert said("reader_waits_total", venue="kraken") == 2
    assert said("reconnects_total", venue="kraken") == 1
    assert said("errors_total", error="ValueError") == 1
    assert (said("commands_total"), said("syncs_total"), said("decisions_stuck_total")) == (7, 5, 1)
    assert said("time_to_flat_seconds") == 1.25


def test_types_and_help_are_said(serve: Any) -> None:
    desk, _, _, _ = new_desk(FLASH)
    said = serve(DeskMetrics(desk))()
    assert said.types["sleeves_equity"] == "gauge"
    assert said.types["sleeves_refusals"] == "counter"
    assert "# HELP sleeves_equity What a sleeve is worth" in said.text
    assert all(name.startswith("sleeves_") for name in said.types)


# -- where it is registered, and who reads it ----------------------------------------------------------------------------------------


def test_nothing_is_registered_by_itself() -> None:
    before = {family.name for family in prometheus.REGISTRY.collect()}
    desk, _, _, _ = new_desk(FLASH)
    DeskMetrics(desk).refresh()
    assert {family.name for family in prometheus.REGISTRY.collect()} == before


def test_a_registry_refuses_a_second_one_and_takes_another_after_unregistering() -> None:
    desk, _, _, _ = new_desk(FLASH)
    registry, one = prometheus.CollectorRegistry(), DeskMetrics(desk)
    registry.register(one)
    with pytest.raises(ValueError, match="Duplicated timeseries"):
        registry.register(DeskMetrics(desk))
    registry.unregister(one)
    registry.register(DeskMetrics(desk))


def test_a_scrape_sees_the_last_look_and_closing_ends_the_counting(serve: Any) -> None:
    desk, _, sleeve, puppet = new_desk(FLASH)
    metrics = DeskMetrics(desk)
    scrape = serve(metrics)
    before = scrape()
    carry(desk, puppet.buy("0.1", "10000"))
    assert scrape().samples == before.samples
    metrics.refresh()
    assert scrape()("fills_total", sleeve="a") == 1
    metrics.close()
    carry(desk, puppet.buy("0.1", "10000"))
    metrics.refresh()
    assert scrape()("fills_total", sleeve="a") == 1
    assert desk.books.listeners == []


def test_no_scrape_is_torn_while_the_desk_trades(serve: Any) -> None:
    """A server answers from threads of its own. Before prices move, a vault's total is its idle coins and its sleeve's equity."""
    desk, vault, sleeve, puppet = new_desk(FLASH, total="5000", tradeable="5000")
    metrics = DeskMetrics(desk)
    scrape = serve(metrics)
    found: list[tuple[float | None, float | None]] = []
    errors: list[BaseException] = []
    over = threading.Event()

    def read() -> None:
        try:
            while not over.is_set():
                said = scrape()
                found.append((said("total", vault=vault.owner, asset="USD"), said("equity", sleeve="a", vault=vault.owner, asset="USD")))
        except BaseException as error:
            errors.append(error)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for number in range(300):
        command = puppet.buy("0.01", "10000") if number % 2 == 0 else puppet.sell("0.01", "10000")
        carry(desk, command)
        metrics.refresh()
    over.set()
    for reader in readers:
        reader.join()
    assert errors == []
    assert len(set(found)) > 3, "they did see it change"
    assert all(total == equity for total, equity in found)


@both
def test_keep_looks_again_and_again_beside_a_run(backend: str, serve: Any) -> None:
    desk, _, sleeve, puppet = new_desk(FLASH)
    metrics = DeskMetrics(desk)
    scrape = serve(metrics)

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(metrics.keep, anyio.sleep, 0.005)
            await anyio.sleep(0.02)
            carry(desk, puppet.buy("0.1", "10000"))
            with anyio.fail_after(5):
                while (await anyio.to_thread.run_sync(scrape))("fills_total", sleeve="a") != 1:
                    await anyio.sleep(0.005)
            tasks.cancel_scope.cancel()

    anyio.run(main, backend=backend)


@both
def test_a_look_that_fails_ends_nothing_and_is_logged_once(
    backend: str, serve: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk, _, _, _ = new_desk(FLASH)
    metrics = DeskMetrics(desk)
    scrape = serve(metrics)
    before, looks = scrape().samples, []

    def broken() -> None:
        looks.append(1)
        raise ZeroDivisionError("in a property of somebody's vault")

    monkeypatch.setattr(metrics, "_look_at_money", lambda gauges: broken())

    async def main() -> None:
        with anyio.move_on_after(5) as scope:

            async def sleep(seconds: float) -> None:
                if len(looks) == 4:
                    scope.cancel()
                await anyio.sleep(0)

            await metrics.keep(sleep)

    with caplog.at_level(logging.ERROR, "sleeves.metrics"):
        anyio.run(main, backend=backend)
    assert len(looks) == 4
    assert len(caplog.records) == 1
    assert scrape().samples == before


# -- hostile names, misuse -----------------------------------------------------------------------------------------------------------


def test_hostile_names_break_no_scrape(serve: Any) -> None:
    desk, _, sleeve, _ = new_desk(FLASH)
    metrics = DeskMetrics(desk)
    hostile = 'x"} 1\nsleeves_equity{sleeve="a"} 9e9\\ \ud800'
    desk.books.record(Refusal(0, hostile, hostile, hostile))
    desk.alert(0, Level.WARNING, hostile, hostile, hostile)
    metrics.refresh()
    said = serve(metrics)()
    assert said("equity", sleeve="a") is None
    assert len(said.of("equity")) == 1
    shown = hostile.replace("\ud800", "?")
    assert said("refusals_total", gate=shown, reason=shown) == 1
    assert said("alerts_total", level="warning", code=shown) == 1


def test_what_is_counted_apart_is_bounded(serve: Any) -> None:
    desk, _, _, _ = new_desk(FLASH)
    metrics = DeskMetrics(desk)
    for number in range(MOST_SERIES + 50):
        desk.books.record(Refusal(0, "a", "mine", f"reason-{number}", times=2))
    desk.books.record(Refusal(0, "a", "mine", "reason-0"))
    metrics.refresh()
    said = serve(metrics)()
    assert len(said.of("refusals_total")) == MOST_SERIES + 1
    assert said("refusals_total", gate="other", reason="other") == 100
    assert said("refusals_total", gate="mine", reason="reason-0") == 3


@pytest.mark.parametrize(("desk", "pulse"), [(None, None), ("desk", None), (new_desk, None)])
def test_metrics_are_of_a_desk(desk: Any, pulse: Any) -> None:
    with pytest.raises(VaultError, match="of a Desk"):
        DeskMetrics(desk, pulse)


def test_and_of_a_pulse() -> None:
    desk, _, _, _ = new_desk(FLASH)
    with pytest.raises(VaultError, match="a Pulse"):
        DeskMetrics(desk, 3)  # type: ignore[arg-type]
    assert desk.books.listeners == []


def test_without_prometheus_client_it_says_which_extra_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    desk, _, _, _ = new_desk(FLASH)
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(MissingExtra, match=r"sleeves\[metrics\]"):
        DeskMetrics(desk)
    assert desk.books.listeners == []
