"""Desks that the tests of sweeps make, in a module that other processes can import: good ones, and ones that mean harm."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

from sleeves import BTC, FLASH, QUIET, USD, CoreVault, Desk, Instrument, Place, Side
from sleeves.engines import EmaCross
from sleeves.sim import Fees, Rules, Slippage, Tape

MARKET = Instrument("BTC/USD", base=BTC, quote=USD, tick="0.01", lot="0.00000001")
RULES = Rules(Fees(1_000, 1_000), Slippage.none())


def walk(rows: int = 2_000, seed: int = 1) -> Tape:
    """A random walk of minute bars."""
    rng = random.Random(seed)
    closes, price = [], 1_000_000
    for _ in range(rows):
        price = max(100, round(price * (1 + rng.gauss(0, 0.001))))
        closes.append(price)
    opens = [1_000_000, *closes[:-1]]
    return Tape.from_units(
        MARKET,
        at=[1_600_000_000_000_000_000 + 60_000_000_000 * row for row in range(rows)],
        open=opens,
        high=[max(pair) for pair in zip(opens, closes, strict=True)],
        low=[min(pair) for pair in zip(opens, closes, strict=True)],
        close=closes,
        name=f"walk {seed}",
    )


def cross(fast: int = 5, slow: int = 20, size: str = "10%", policy: str = "quiet") -> Desk:
    """One sleeve, long while the fast average is above the slow one."""
    vault = CoreVault(USD, total="100000", tradeable="100000")
    sleeve = vault.sleeve("cross", FLASH if policy == "flash" else QUIET, allocate="50000")
    desk = Desk(vault)
    desk.assign(EmaCross(MARKET, fast, slow, size=size), to=sleeve)
    return desk


def two(fast: int, slow: int) -> Desk:
    """Two sleeves side by side."""
    vault = CoreVault(USD, total="100000", tradeable="100000")
    desk = Desk(vault)
    desk.assign(EmaCross(MARKET, fast, slow), to=vault.sleeve("one", QUIET, allocate="20000"))
    desk.assign(EmaCross(MARKET, fast + 1, slow + 5), to=vault.sleeve("other", FLASH, allocate="20000"))
    return desk


class Moody:
    """Buys now and then; what it does at a row is for its maker to say."""

    name = "moody"
    watches = (MARKET,)
    every = 0

    def __init__(self, mood: str) -> None:
        self.mood = mood

    def begin(self) -> list[int]:
        return [0]

    def decide(self, memory: list[int], view: object) -> object:
        memory[0] += 1
        if memory[0] == 100:
            act(self.mood)
            return (Place(MARKET, Side.BUY, view.affordable(MARKET, view.free() // 2)),)  # type: ignore[attr-defined]
        return None


def act(mood: str) -> None:
    """Do what the mood says: raise, exit, end the process, wait."""
    what, _, of = mood.partition(":")
    if what == "raise":
        raise ValueError(f"an engine in a mood: {of}")
    if what == "exit":
        raise SystemExit(of)
    if what == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "once":  # the first time that it runs at all it takes its process along
        try:
            Path(of).touch(exist_ok=False)
        except FileExistsError:
            return
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "wait":
        time.sleep(float(of))
    if what == "note":
        with Path(of).open("a") as file:
            file.write("x")


def moody(mood: str = "calm", n: int = 0, at: str = "decide") -> Desk:
    """A desk whose engine, or whose making, acts on a mood. `n` tells trials apart."""
    if at == "make":
        act(mood)
    vault = CoreVault(USD, total="100000", tradeable="100000")
    sleeve = vault.sleeve("moody", QUIET, allocate=str(10_000 + n))
    desk = Desk(vault)
    desk.assign(Moody(mood), to=sleeve)
    return desk
