"""A desk that runs unattended, on paper: armed, commanded, watched, told, and stopped as a whole.

    python examples/live_desk.py

Two strategies trade a simulated exchange through `trade`, the very shell that a real venue runs under: a command that is
sent twice and done once, arming, a confirmation that comes too late, a limit that acts, notices, and the kill switch.
"""

from __future__ import annotations

import anyio
import anyio.lowlevel

from sleeves import FLASH, QUIET, USD, CoreVault, Desk, Limit
from sleeves.alerts import Alerts, Callback, Notice
from sleeves.control import Control
from sleeves.engines import Trend
from sleeves.instructions import Answer, Arm, Confirm, Instruction, Kill, Open, Pause, Resume
from sleeves.live import trade
from sleeves.market import HOUR
from sleeves.pulse import Pulse
from sleeves.sim import Tape, VirtualDriver

tape = Tape.sample().slice(0, 440)
market = tape.instrument


def a_desk() -> Desk:
    """20,000 USD, two trend engines, and limits that act."""
    vault = CoreVault(USD, total="20000", tradeable="15000")
    quiet, flash = vault.sleeve("quiet", QUIET, allocate="10000"), vault.sleeve("flash", FLASH, allocate="5000")
    desk = Desk(vault)
    desk.assign(Trend.quiet(market), to=quiet)
    desk.assign(Trend.flash(market), to=flash)
    desk.limit(flash, Limit("drawdown", "20%"), Limit("daily_loss", "10%"))
    desk.limit(vault, Limit("exposure", "14000"))
    return desk


async def a_human(desk: Desk, control: Control) -> None:
    """Commands beside the run. Each has an id: sent again, it is answered again and not done again."""

    async def wait_for(hour: int) -> None:
        while desk.books.now < tape.at[0] + hour * HOUR:
            await anyio.lowlevel.checkpoint()

    async def say(instruction: Instruction) -> Answer:
        answer = await control.do(instruction)
        print(f"{instruction.id}: {answer}")
        return answer

    await wait_for(10)
    pause = Pause(id="ann-1", by="ann", target="flash", why="not yet")
    await say(pause)
    await say(pause)
    await say(Resume(id="ann-2", by="ann", target="flash"))
    await wait_for(400)
    desk.require_arming("sim")  # as if it moved real money
    order = {"sleeve": "quiet", "market": market.symbol, "side": "buy", "qty": "0.05"}
    await say(Open(id="ann-3", by="ann", **order))
    await say(Arm(id="ann-4", by="ann", venue="sim", per_hour="1000", phrase=desk.arming_phrase("sim", per_hour="1000")))
    asked = await say(Open(id="ann-5", by="ann", **order))
    # the simulated exchange plays an hour between two prices, and a wish waits for 30 seconds: ben is too late, nothing is sent
    await say(Confirm(id="ben-1", by="ben", confirmation=asked.evidence["confirmation"]))
    await wait_for(420)
    kill = Kill(id="ann-6", by="ann", target="desk:main", flatten=True, why="end of the example")
    await say(kill)


async def main() -> None:
    desk = a_desk()
    venue, pulse = VirtualDriver(tape, {"USD": USD("20000")}), Pulse()
    told: list[Notice] = []
    alerts = Alerts(desk, Callback(told.append), least="info")
    async with anyio.create_task_group() as tasks, Control(desk, venue) as control:
        tasks.start_soon(alerts.run)
        tasks.start_soon(a_human, desk, control)
        await trade(desk, venue, pulse=pulse)
        print(f"ann-6, later: {await control.outcome('ann-6')}")
        await alerts.flush()
        tasks.cancel_scope.cancel()
    print()
    for notice in told:
        print(notice)
    print()
    print(pulse.snapshot(desk))
    print()
    print(desk.check(await venue.balances()).require())


if __name__ == "__main__":
    anyio.run(main)
