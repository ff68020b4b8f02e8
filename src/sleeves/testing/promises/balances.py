"""What a venue says that it holds is what its events make."""

from __future__ import annotations

from ...orders import Fill
from .. import scenes
from ..stage import Pause, Stage
from .promise import Chapter

__all__ = ["BALANCES"]

BALANCES = Chapter()


@BALANCES.promise()
async def _balances_are_what_the_events_said(stage: Stage) -> None:
    """The account's coins are what they were plus what the events said, unit for unit, and nothing else."""
    for played in await scenes.play_every(stage):
        for pause in played.pauses:
            found = played.folded(pause.told).differ(pause.balances)
            played.check(not found, f"after {_rows(pause)}, {'; '.join(found)}")


@BALANCES.promise(kind="perp")
async def _positions_are_what_the_events_said(stage: Stage) -> None:
    """The account's contracts, and the money side of them, are what the events said, unit for unit."""
    for played in await scenes.play_every(stage):
        played.check(played.facts(Fill) or not played.pauses[-1].positions, "contracts are held that no fill brought")
        for pause in played.pauses:
            folded = played.folded(pause.told)
            found = folded.differ(folded.coins, pause.positions)
            played.check(not found, f"after {_rows(pause)}, {'; '.join(found)}")


def _rows(pause: Pause) -> str:
    return f"{pause.row + 1} row(s) and {pause.told} events"
