"""The money of open contracts: funding is paid, profit and loss are settled."""

from __future__ import annotations

from ...facts import FundingPaid, Settled
from .. import scenes
from ..fold import Folded, figures, position_text
from ..offer import Feature
from ..stage import Stage
from ..words import event_text
from .promise import Chapter

__all__ = ["CONTRACTS"]

CONTRACTS = Chapter()


@CONTRACTS.promise(Feature.FUNDING, kind="perp")
async def _positive_funding_goes_from_long_to_short(stage: Stage) -> None:
    """At a rate above zero a long pays and a short receives, at one below zero the other way round, rounded against us."""
    played = await stage.play(scenes.funded(stage))
    paid = [fact for fact in played.facts(FundingPaid) if fact.qty]
    signs = {(fact.rate.rate_ppb > 0, fact.qty > 0) for fact in paid}
    played.check(len(signs) == 4, f"{len(paid)} funding payments were told, and not one of each sign on a long and on a short")
    for fact in paid:
        numerator, denominator = fact.rate.entitlement(fact.qty)
        told = f"on {fact.qty} units at {fact.rate.rate_ppb} ppb {fact.amount} units were received"
        played.check(fact.amount * numerator > 0, f"{told}, where the sign says {'receive' if numerator > 0 else 'pay'}")
        played.check(fact.amount * denominator <= numerator, f"{told}, more than the exact {numerator}/{denominator}")
        played.check(
            fact.amount * denominator > numerator - denominator, f"{told}, a unit or more below the exact {numerator}/{denominator}"
        )


@CONTRACTS.promise(Feature.FUNDING, kind="perp")
async def _funding_is_paid_on_what_is_held(stage: Stage) -> None:
    """Funding is paid on the position of that instant, each rate once, and without one nothing moves."""
    played = await stage.play(scenes.funded(stage))
    folded, paid = Folded(played.script.balances), 0
    for event in played.told:
        if isinstance(event, FundingPaid):
            held = folded.position(event.instrument).qty
            played.check(event.qty == held, f"{event_text(event)} was paid on {event.qty} units, where {held} were held")
            played.check(held or not event.amount, f"{event_text(event)} moved {event.amount} units, where nothing was held")
            paid += bool(held)
        folded.take(event)
    played.check(paid == 4, f"funding fell due four times with contracts held, and was told {paid} times")


@CONTRACTS.promise(kind="perp")
async def _settling_changes_no_equity(stage: Stage) -> None:
    """`Settled` moves unsettled profit or loss to cash: what cash gains the contracts' money side loses."""
    played = await stage.play(scenes.settled(stage))
    settled = played.facts(Settled)
    played.check(settled, "a gain and a loss were realized, and nothing was ever Settled")
    code = stage.market.quote.code
    made, said = played.folded(), played.pauses[-1]
    have = said.balances.get(code, stage.market.quote.zero).units + figures(said.positions.get(stage.market.symbol))[1]
    should = made.coins[code].units + made.position(stage.market).money
    played.check(have == should, f"cash and unsettled money come to {have} units, where what was told makes {should}")


@CONTRACTS.promise(Feature.SETTLES, kind="perp")
async def _what_is_unsettled_waits_until_it_is_asked_for(stage: Stage) -> None:
    """`settle` moves all that is realized to cash; with nothing left it says that it moved nothing, by a `Settled` of 0."""
    played = await stage.play(scenes.settled(stage))
    settled = played.facts(Settled)
    told = ", ".join(str(fact.amount) for fact in settled) or "nothing"
    played.check(len(settled) == 3, f"settle was asked three times, each is answered; what was Settled is: {told}")
    played.check(not settled[2].amount, f"nothing was left for the third; what was Settled is: {told}")
    played.check(settled[0].amount > 0 > settled[1].amount, f"a gain was settled and then a loss; what was Settled is: {told}")
    left = played.folded().position(stage.market)
    played.check(not left.qty and not left.money, f"all was closed and settled, and {position_text(left)} are left")
