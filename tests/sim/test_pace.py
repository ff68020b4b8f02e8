"""A paced paper venue: people can follow it, and it writes the same."""

from __future__ import annotations

import time

import anyio
import pytest

from sleeves import FLASH, QUIET, USD, CoreVault, Desk
from sleeves.control import Control
from sleeves.engines import Trend
from sleeves.errors import VaultError
from sleeves.instructions import Code, Deposit
from sleeves.live import trade
from sleeves.sim import Tape, VirtualDriver


def made(rows, **terms):
    tape = Tape.sample().slice(0, rows)
    vault = CoreVault(USD, total="20000", tradeable="15000")
    desk = Desk(vault)
    desk.assign(Trend.quiet(tape.instrument), to=vault.sleeve("quiet", QUIET, allocate="10000"))
    desk.assign(Trend.flash(tape.instrument), to=vault.sleeve("flash", FLASH, allocate="5000"))
    return desk, VirtualDriver(tape, {"USD": USD("20000")}, wallet={"USD": USD("1000")}, **terms)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_pace_changes_nothing_of_what_is_written(backend):
    digests = []
    for pace in (0, 0.0005):
        desk, venue = made(150, pace=pace)
        anyio.run(trade, desk, venue, backend=backend)
        digests.append(desk.books.journal.digest())
    assert digests[0] == digests[1]


def test_it_waits_behind_each_price():
    desk, venue = made(5, pace=0.05)
    begun = time.monotonic()
    anyio.run(trade, desk, venue)
    assert time.monotonic() - begun >= 5 * 0.05


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_what_needs_no_price_is_answered_while_it_waits(backend):
    desk, venue = made(5, pace=3_600)

    async def main():
        with anyio.fail_after(30):
            async with Control(desk, venue) as control, anyio.create_task_group() as tasks:
                tasks.start_soon(trade, desk, venue)
                while not desk.books.now:
                    await anyio.sleep(0.01)
                await control.do(Deposit("d-1", "ann", vault="core:main:USD", amount="100"))
                assert (await control.outcome("d-1", 20)).code is Code.CONFIRMED
                tasks.cancel_scope.cancel()

    anyio.run(main, backend=backend)
    assert desk.treasury.vaults[0].total == USD("20100")


@pytest.mark.parametrize("pace", [-1, float("nan"), float("inf"), True, "fast"])
def test_a_pace_that_is_none_is_refused(pace):
    with pytest.raises(VaultError, match="pace"):
        made(5, pace=pace)
