"""The demo: 20,000 USD split into a Quiet and a Flash sleeve over real candles. No key, no network, a second or two."""

from __future__ import annotations

from .desk import Desk
from .engines import Trend
from .money import USD
from .policy import FLASH, QUIET
from .report import Report
from .sim import Rules, Tape, replay
from .vault import CoreVault

__all__ = ["run"]


def run(tape: Tape | None = None, *, rules: Rules | None = None, progress: bool | None = None) -> Report:
    """Replay two sleeves of one core vault over a tape quoted in USD, the packaged sample by default."""
    tape = Tape.sample() if tape is None else tape
    vault = CoreVault(USD, total="20000", tradeable="15000")
    quiet = vault.sleeve("quiet", QUIET, allocate="10000", why="compounds")
    flash = vault.sleeve("flash", FLASH, allocate="5000", why="returns its profit")
    desk = Desk(vault)
    desk.assign(Trend.quiet(tape.instrument), to=quiet)
    desk.assign(Trend.flash(tape.instrument), to=flash)
    return replay(desk, tape, rules=rules, progress=progress)
