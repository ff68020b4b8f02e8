"""What any tuned strategy is held against: all the money put in at the first price of a window, and kept there."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import frozen

from ..desk import Desk
from ..market import Instrument
from ..money import Amount
from ..orders import Intent, Place, Side
from ..policy import QUIET
from ..protocols import View
from ..sim.models import Rules
from ..sim.tape import Tape
from ..vault import CoreVault
from .outcome import Outcome
from .play import Run, play
from .splits import Window

__all__ = ["Hold", "hold"]


@frozen(order=False)
class Hold:
    """Buys once, at the first price that it sees, for all its free money worth once, and keeps it."""

    instrument: Instrument
    name: str = "hold"
    every: int = 0

    @property
    def watches(self) -> tuple[Instrument, ...]:
        return (self.instrument,)

    def begin(self) -> dict[str, bool]:
        return {}

    def decide(self, memory: dict[str, bool], view: View) -> Iterable[Intent] | None:
        if memory:
            return None
        memory["asked"] = True
        market = self.instrument
        qty = view.affordable(market) if market.contract is None else market.affordable(view.free(), view.book.ask)
        return (Place(market, Side.BUY, qty, why="hold"),) if qty > 0 else None


def hold(tape: Tape, window: Window, capital: Amount, rules: Rules | None = None) -> Outcome | None:
    """What holding makes of this capital in the rows of a window that count, under the same rules; None where nothing is bought."""

    def make_desk() -> Desk:
        vault = CoreVault(capital.asset, total=capital, tradeable=capital)
        desk = Desk(vault)
        desk.assign(Hold(tape.instrument), to=vault.sleeve("hold", QUIET, allocate=capital))
        return desk

    if capital.units <= 0 or capital.asset != tape.instrument.quote:
        return None
    _, outcome = play(Run(make_desk, {}, tape, Window(window.start, window.stop), rules))
    return outcome if outcome.fills else None
