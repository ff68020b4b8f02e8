"""The end of an account: a liquidation closes contracts, a bankrupt account begins at nothing."""

from __future__ import annotations

from ...facts import Bankrupted, Liquidated
from ...orders import Side
from .. import scenes
from ..fold import Folded, figures
from ..offer import Feature
from ..stage import Stage
from ..words import event_text
from .promise import Chapter

__all__ = ["LIQUIDATION"]

LIQUIDATION = Chapter()


@LIQUIDATION.promise(Feature.LIQUIDATION, kind="perp")
async def _a_liquidation_only_closes(stage: Stage) -> None:
    """A liquidation closes contracts and never opens or turns any, for a fee that is not negative."""
    for side, name in ((Side.BUY, "a long is liquidated"), (Side.SELL, "a short is liquidated")):
        played = await stage.play(scenes.crash(stage, side, name, gap=False))
        folded, parts = Folded(played.script.balances), 0
        for event in played.told:
            if isinstance(event, Liquidated):
                parts += 1
                held = folded.position(event.instrument).qty
                closes = held * event.change < 0 and abs(event.change) <= abs(held)
                played.check(closes, f"{event_text(event)} changed a position of {held} units by {event.change}")
                played.check(event.fee.units >= 0, f"{event_text(event)} paid a fee of {event.fee}")
            folded.take(event)
        played.check(parts, "the market went further than the account can bear, and nothing was Liquidated")


@LIQUIDATION.promise(Feature.LIQUIDATION, kind="perp")
async def _a_bankrupt_account_begins_at_nothing(stage: Stage) -> None:
    """After `Bankrupted` the account holds no contracts, and its cash and unsettled money come to nothing."""
    for side, name in ((Side.BUY, "a long is bankrupted"), (Side.SELL, "a short is bankrupted")):
        played = await stage.play(scenes.crash(stage, side, name, gap=True))
        played.check(played.facts(Bankrupted), "the market gapped beyond what the account had, and nothing was Bankrupted")
        said, quote = played.pauses[-1], stage.market.quote
        qty, money = figures(said.positions.get(stage.market.symbol))
        worth = said.balances.get(quote.code, quote.zero).units + money
        played.check(not qty and not worth, f"{qty} contracts and {worth} units of {quote} are left of a bankrupt account")
