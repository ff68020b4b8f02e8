"""The whole: a desk that trades on the venue balances."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from attrs import frozen

from ...desk import Desk
from ...live import trade
from ...market import Instrument
from ...orders import Intent, Place, Side
from ...policy import QUIET
from ...protocols import Venue, View
from ...vault import CoreVault
from ..offer import Feature
from ..stage import Played, Stage, aclose
from .promise import Chapter

__all__ = ["WHOLE"]

WHOLE = Chapter()


@frozen
class _InAndOut:
    """An engine that goes in and out at market, and on a book with limits; on a perpetual also short."""

    market: Instrument
    qty: int
    limits: tuple[int, int] | None
    name: str = "in-and-out"
    every: int = 0

    @property
    def watches(self) -> tuple[Instrument, ...]:
        return (self.market,)

    def begin(self) -> list[int]:
        return [0]

    def decide(self, memory: list[int], view: View) -> Iterable[Intent] | None:
        memory[0] += 1
        turn, held = memory[0], view.position(self.market)
        if turn == 2:
            return [Place(self.market, Side.BUY, self.qty)]
        if turn == 3 and self.limits is not None:
            return [
                Place(self.market, Side.BUY, self.qty, limit=self.limits[0]),
                Place(self.market, Side.SELL, self.qty, limit=self.limits[1]),
            ]
        if turn == 7 and held > 0:
            return [Place(self.market, Side.SELL, self.market.round_qty(held), reduce_only=True)]
        if turn == 9 and self.market.contract is not None:
            return [Place(self.market, Side.SELL, self.qty)]
        if turn == 11 and held < 0:
            return [Place(self.market, Side.BUY, -held, reduce_only=True)]
        return None


class _OnStage:
    """The venue under test: it plays a script, so it waits for the desk, and no real money is moved, whatever it says of itself."""

    lockstep = True
    real_money = False

    def __init__(self, venue: Venue) -> None:
        self._venue = venue

    def __getattr__(self, name: str) -> Any:
        return getattr(self._venue, name)


@WHOLE.promise()
async def _a_desk_balances_on_it(stage: Stage) -> None:
    """A desk that trades through `live.trade` proves at the end that its books are what the venue holds."""
    path = (0, 1, 2, (1, 3, -80, -2), 1, (2, 90, -5, 3), 1, 2, 0, -1, 2, 3, 1, 2)
    scene = stage.scene("a desk", path, funding={3: 100_003, 9: 100_003} if stage.has(Feature.FUNDING) else None)
    played = Played(scene, await stage.open(scene))
    cash = scene.script.balances[stage.market.quote.code]
    vault = CoreVault(cash.asset, total=cash, tradeable=cash)
    desk = Desk(vault)
    limits = (stage.level(-40), stage.level(60)) if stage.has(Feature.RESTING) else None
    desk.assign(_InAndOut(stage.market, stage.qty, limits), to=vault.sleeve("suite", QUIET, allocate=cash))
    try:
        await stage.wait(played, "live.trade", lambda: trade(desk, cast(Venue, _OnStage(played.venue)), reconnect=None))
        balances, positions = await stage.holds(played)
    finally:
        await aclose(played.venue)
    played.check(desk.books.facts, "no fill was booked, so nothing was proved")
    proof = desk.check(balances, positions=positions, deep=True)
    played.check(proof.holds, f"the proof does not hold:\n{proof}")
