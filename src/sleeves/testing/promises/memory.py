"""What a venue remembers when it is asked: a desk that was killed knows no more than this."""

from __future__ import annotations

from ...facts import AccountFact
from ...money import Amount
from ...orders import Canceled, Fill, OrderStatus, Rejected
from .. import scenes
from ..offer import Feature
from ..stage import Played, Stage
from .promise import Chapter

__all__ = ["MEMORY"]

MEMORY = Chapter()


async def _lives(stage: Stage) -> list[Played]:
    made = [scenes.round_trip(stage), scenes.canceled(stage), scenes.refused(stage)]
    if stage.has(Feature.TRANSFERS):
        made.append(scenes.transfers(stage))
    if stage.perp and stage.has(Feature.FUNDING):
        made.append(scenes.funded(stage))
    return [await stage.play(scene) for scene in made]


@MEMORY.promise()
async def _history_tells_what_was_told(stage: Stage) -> None:
    """`history` has every fact that was told, with the same content, each once, oldest first, and no other."""
    for played in await _lives(stage):
        told = played.facts(Fill, *AccountFact.__args__)
        known = {fact.key: fact for fact in played.past.history}
        played.check(len(known) == len(played.past.history), "history() has a fact twice")
        for fact in told:
            played.check(known.get(fact.key) == fact, f"{fact.key} was told as {fact}, and history() has {known.get(fact.key)}")
        more = sorted(known.keys() - {fact.key for fact in told})
        played.check(not more, f"history() has {', '.join(more)}, which was never told")
        times = [fact.at for fact in played.past.history]
        played.check(times == sorted(times), "history() is not oldest first")


@MEMORY.promise()
async def _history_begins_where_it_is_asked_to(stage: Stage) -> None:
    """`history` and `cash_flows` since an instant have all from that instant on, itself included, and nothing before it."""
    for played in await _lives(stage):
        for since, (history, flows) in played.past.since.items():
            facts, lines = played.past.history, played.past.flows
            played.check(list(history) == [one for one in facts if one.at >= since], f"history({since}) is not what happened since then")
            played.check(list(flows) == [one for one in lines if one.at >= since], f"cash_flows({since}) is not what moved since then")


@MEMORY.promise()
async def _an_order_is_found_by_its_id(stage: Stage) -> None:
    """`look_up` says what became of an order, and how much of it is filled; of one that was never sent it says nothing."""
    for played in await _lives(stage):
        for order_id, order in played.scene.orders.items():
            report = played.past.reports[order_id]
            if order_id not in played.sent:
                played.check(report is None, f"{order_id} was never sent, and look_up() found {report}")
                continue
            if report is None:
                played.check(False, f"{order_id} was sent, and look_up() did not find it")
                continue
            filled, said = played.filled(order), played.said_of(order)
            rejected, canceled = (any(isinstance(event, kind) for event in said) for kind in (Rejected, Canceled))
            status = OrderStatus.FILLED if filled >= order.place.qty else OrderStatus.CANCELED if canceled else OrderStatus.OPEN
            status = OrderStatus.REJECTED if rejected else status
            seen = (report.order_id, report.status, report.filled)
            played.check(seen == (order_id, status, filled), f"{order_id} is {status}, {filled} filled, and look_up() says {report}")


@MEMORY.promise()
async def _open_orders_are_those_that_are_open(stage: Stage) -> None:
    """`open_orders` are the orders that `look_up` reports as open, each once."""
    for played in await _lives(stage):
        found = {name for name, report in played.past.reports.items() if report is not None and report.status is OrderStatus.OPEN}
        named = [report.order_id for report in played.past.open_orders]
        played.check(sorted(named) == sorted(found), f"open_orders() names {sorted(named)}, and look_up() found {sorted(found)} open")


@MEMORY.promise()
async def _cash_flows_sum_to_what_balances_changed_by(stage: Stage) -> None:
    """The lines of `cash_flows` sum to the change of `balances`, and each that follows from a fact names its key."""
    for played in await _lives(stage):
        sums = {code: amount.units for code, amount in played.script.balances.items()}
        keys = {fact.key for fact in played.past.history}
        for line in played.past.flows:
            sums[line.amount.asset.code] = sums.get(line.amount.asset.code, 0) + line.amount.units
            played.check(not line.ref or line.ref in keys, f"line {line.id} of cash_flows() is of {line.ref}, which history() has not")
        names = [line.id for line in played.past.flows]
        played.check(len(names) == len(set(names)), "two lines of cash_flows() have one id")
        for code, amount in played.pauses[-1].balances.items():
            made = Amount(sums.pop(code, 0), amount.asset)
            played.check(made == amount, f"cash_flows() make {made}, and balances() says {amount}")
        lost = sorted(code for code, units in sums.items() if units)
        played.check(not lost, f"cash_flows() make {', '.join(lost)}, of which balances() has none")
