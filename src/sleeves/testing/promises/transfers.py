"""Transfers move what was asked, or nothing."""

from __future__ import annotations

from ...facts import Transferred, TransferRefused
from .. import scenes
from ..offer import Feature
from ..stage import Stage
from ..words import events_text
from .promise import Chapter

__all__ = ["TRANSFERS"]

TRANSFERS = Chapter()


@TRANSFERS.promise(Feature.TRANSFERS)
async def _a_transfer_moves_what_was_asked(stage: Stage) -> None:
    """A transfer moves its very amount, or is refused with a reason and moves nothing."""
    played = await stage.play(scenes.transfers(stage))
    for transfer, _ in played.asked.values():
        answers = played.answers(transfer.id)
        played.check(answers, f"{transfer.id} was never answered")
        for answer in answers:
            if isinstance(answer, Transferred):
                played.check(answer.amount == transfer.amount, f"{transfer.id} was for {transfer.amount}, and {answer.amount} moved")
            else:
                played.check(answer.reason, f"{transfer.id} was refused without a reason")
    moved = {fact.id for fact in played.facts(Transferred)}
    for name in ("suite-transfer-in", "suite-transfer-out"):
        played.check(name in moved, f"{name} was within what is there, and refused: {events_text(played.answers(name))}")


@TRANSFERS.promise(Feature.TRANSFERS)
async def _a_transfer_beyond_what_is_there_is_refused(stage: Stage) -> None:
    """No more comes in than the wallet holds, and no more goes out than the account has."""
    played = await stage.play(scenes.transfers(stage))
    for name in ("suite-transfer-beyond-the-wallet", "suite-transfer-beyond-the-account"):
        answers = played.answers(name)
        refused = answers and all(isinstance(answer, TransferRefused) for answer in answers)
        played.check(refused, f"{name} asked for more than there is, and was answered with: {events_text(answers)}")


@TRANSFERS.promise(Feature.TRANSFERS, Feature.HEALTH, kind="perp")
async def _a_withdrawal_leaves_the_account_healthy(stage: Stage) -> None:
    """A withdrawal that would leave health below 80 is refused, and one that leaves it above is not."""
    played = await stage.play(scenes.healthy(stage))
    played.check(played.folded().position(stage.market).qty, "no contracts were open, so nothing was proved")
    small, large = (played.answers(f"suite-transfer-{name}") for name in ("small", "large"))
    played.check(
        small and isinstance(small[0], Transferred), f"a withdrawal that leaves health at 88 was answered with: {events_text(small)}"
    )
    played.check(
        large and isinstance(large[0], TransferRefused), f"a withdrawal that leaves health at 75 was answered with: {events_text(large)}"
    )
