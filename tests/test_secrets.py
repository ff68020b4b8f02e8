"""One secret through the whole house: a venue that signs with it, fails in every way, and is logged, traced, journaled,
measured, commanded and reported. Then it is looked for everywhere, and never found.
"""

from __future__ import annotations

import gc
import hmac
import io
import logging
import time
from collections import Counter
from contextlib import suppress

import anyio
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
from prometheus_client import CollectorRegistry, generate_latest

from helpers import BTCUSD
from keys.sentinel import Sentinel
from sleeves import QUIET, USD, Books, CoreVault, Desk, Place, Side
from sleeves.alerts import Alerts, Apprise, Callback
from sleeves.control import Control
from sleeves.errors import VenueUnavailable, VenueUnknown
from sleeves.export import csv_lines, json_lines
from sleeves.instructions import CloseAll, Open, Withdraw
from sleeves.journals import SQLite
from sleeves.keys import EncryptedFile, KeyRing, KeySet, Nonces, Right, Rights, Secret
from sleeves.live import trade
from sleeves.logs import JsonLines, follow, to_files
from sleeves.metrics import DeskMetrics
from sleeves.pulse import Pulse
from sleeves.riskview import RiskView
from sleeves.sim import Tape, VirtualDriver
from sleeves.tracing import traced

RIGHTS = Rights.of("read", "trade", addresses=["192.0.2.1"])


class Signed:
    """A venue that signs each call with a key from the ring, and now and then fails while it holds it."""

    real_money = False
    lockstep = True

    def __init__(self, inner, ring):
        self.inner, self.ring, self.calls = inner, ring, 0

    @property
    def name(self):
        return self.inner.name

    def events(self):
        return self.inner.events()

    async def _signed(self, what, call, *about):
        self.calls += 1
        async with self.ring.use("core:main:USD", self.name, right=Right.TRADE) as held, held.turn() as nonce:
            hmac.new(held.secret.reveal().encode(), f"{what}{nonce}".encode(), "sha512").hexdigest()
            if self.calls % 7 == 3:
                raise VenueUnavailable(held.hide(f"503 for {held.api_key.reveal()}: {held.secret.reveal()}"))
            if self.calls % 11 == 5:
                raise VenueUnknown(held.hide(f"cut off: {held.secret.reveal()}"))
            return await call(*about)

    async def submit(self, order):
        await self._signed("submit", self.inner.submit, order)

    async def cancel(self, order):
        await self._signed("cancel", self.inner.cancel, order)

    async def settle(self, instrument):
        await self._signed("settle", self.inner.settle, instrument)

    async def transfer(self, transfer):
        await self._signed("transfer", self.inner.transfer, transfer)

    async def look_up(self, order):
        return await self.inner.look_up(order)

    async def open_orders(self):
        return await self.inner.open_orders()

    async def balances(self):
        return await self.inner.balances()

    async def positions(self):
        return await self.inner.positions()

    async def history(self, since):
        return await self.inner.history(since)

    async def cash_flows(self, since):
        return await self.inner.cash_flows(since)


class Eager:
    """Buys and sells by turns, and raises at the end."""

    name, every, watches = "eager", 0, (BTCUSD,)

    def begin(self):
        return {"n": 0}

    def decide(self, memory, view):
        memory["n"] += 1
        if memory["n"] == 90:
            raise RuntimeError("the engine breaks")
        owned = view.sellable(BTCUSD)
        side, qty = (Side.SELL, owned) if owned and memory["n"] % 2 else (Side.BUY, BTCUSD.qty("0.01"))
        return [Place(BTCUSD, side, qty)]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_secret_that_goes_through_the_whole_house_is_never_found_again(tmp_path, backend):
    api_key, secret, passphrase, hook = (Sentinel(seed, signs="") for seed in (1, 2, 3, 4))
    with EncryptedFile.create(tmp_path / "main.keys", lambda: passphrase.value) as file:
        file.put("main.key", Secret(api_key.value))
        file.put("main.secret", Secret(secret.value))
        key = KeySet.load(file, "main", venue="sim", rights=RIGHTS)
    nonces = Nonces.open(tmp_path / "main.nonces", time.time_ns)
    ring = KeyRing([key], clock=time.time_ns, nonces=nonces)
    told, spans, stderr = [], io.StringIO(), io.StringIO()
    heard = logging.StreamHandler(stderr)
    logging.getLogger().addHandler(heard)
    undo = [to_files(tmp_path / "logs", "DEBUG", stderr=False), to_files(tmp_path / "json", "DEBUG", stderr=False, lines=JsonLines())]
    try:
        seen = anyio.run(_run, tmp_path, ring, hook, told, spans, backend=backend)
    finally:
        nonces.close()
        for one in reversed(undo):
            one()
        logging.getLogger().removeHandler(heard)
    assert told, "nobody was told anything"
    assert "503" in (tmp_path / "logs" / "sleeves.log").read_text(), "the failures were not even logged"
    everything = "\n".join(_ours())
    assert len(everything) > 10_000
    for sentinel in (api_key, secret, passphrase, hook):
        assert sentinel.found(tmp_path, spans.getvalue(), stderr.getvalue(), *seen, *map(repr, told), everything) == []


def _ours():
    """What objects of the package that are alive now show of themselves: up to twenty of each kind, as text."""
    kinds = Counter()
    gc.collect()  # what other tests left halfway is not ours
    for one in gc.get_objects():
        kind = type(one)
        if str(kind.__module__).partition(".")[0] == "sleeves":
            kinds[kind] += 1
            if kinds[kind] <= 20:
                yield from (repr(one), str(one), format(one))


async def _run(tmp_path, ring, hook, told, spans):
    """A run with all that listens to it; what it leaves behind as text."""
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(out=spans)))
    n = range(1, 120)
    columns = {
        "open": [10_000] * 119,
        "high": [10_050] * 119,
        "low": [9_950] * 119,
        "close": [10_000 + i % 7 for i in n],
        "volume": [5] * 119,
    }
    tape = Tape.from_columns(BTCUSD, ts=[i * 60 for i in n], **columns)
    with SQLite.open(tmp_path / "books.sleeves") as journal:
        vault = CoreVault(USD, total="20000", tradeable="15000", books=Books(journal))
        desk = Desk(vault)
        desk.assign(Eager(), to=vault.sleeve("a", QUIET, allocate="10000"))
        pulse = Pulse()
        venue = traced(Signed(VirtualDriver(tape, {"USD": USD("20000")}), ring), provider.get_tracer("test"))
        registry = CollectorRegistry()
        registry.register(DeskMetrics(desk, pulse))
        follow(desk)
        alerts = Alerts(desk, Callback(told.append), Apprise(f"json://ann:{hook.value}@127.0.0.1:9/"), retries=())
        control = Control(desk, venue)
        answers = []
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(alerts.run)
            with suppress(Exception):
                await trade(desk, venue, pulse=pulse, reconcile_every=None, patience=0.2)
            answers += [
                await control.do(Open(id="r1", by="ann", sleeve="a", market="BTC/USD", side="buy", qty="0.01")),
                await control.do(Withdraw(id="r2", by="ann", vault="core:main:USD", amount="10")),
                await control.do(CloseAll(id="r3", by="ann", target="a")),
            ]
            await alerts.flush(5.0)
            tasks.cancel_scope.cancel()
        snapshot = pulse.snapshot(desk)
        view = RiskView.of(desk)
        texts = [str(snapshot), repr(snapshot), str(view), repr(ring), repr(ring.describe()), generate_latest(registry).decode()]
        texts += [repr(answers), str(desk.telemetry("a")), str(desk.check()), str(desk.inventory())]
        texts += [*json_lines(desk.books.journal), *csv_lines(desk.books.journal)]
        alerts.close()
        return texts
