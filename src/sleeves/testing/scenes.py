"""The scenes that the promises look at: what a market does, and what is commanded meanwhile.

A scene does not know what is promised about it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from attrs import evolve

from ..market import BP
from ..money import Rounding
from ..orders import CancelOrder, Command, Event, Fill, Order, Place, Side, TimeInForce
from .offer import Feature
from .stage import Played, Scene, Stage

__all__ = [
    "CALM",
    "RACED_ACROSS",
    "canceled",
    "crash",
    "every",
    "fill_or_kill",
    "funded",
    "good_til",
    "healthy",
    "parts",
    "play_every",
    "post_only",
    "raced",
    "raced_across",
    "reduce_only",
    "refused",
    "resting",
    "round_trip",
    "settled",
    "stranger",
    "transfers",
    "twice",
    "worst",
]

CALM = (0, (3, 9, -7, 2), (2, 6, -5, -4), 1, (1, 8, -9, 5), 3, (4, 7, -6, -2), 0, 2, -1, 3, 1)


def round_trip(stage: Stage) -> Scene:
    """In at market, out in two parts; a venue may take its fee of a buy in what was bought."""
    scene = stage.scene("a round trip", CALM)
    scene.buy(1, stage.qty)
    scene.sell(4, stage.half)
    scene.sell(6, stage.qty - stage.half if stage.perp else stage.qty // 3 // stage.market.lot_units * stage.market.lot_units)
    return scene


def resting(stage: Stage) -> Scene:
    """A limit below the market and one above it, each reached, and a third that the market has passed when it comes."""
    scene = stage.scene("limits that rest", (0, 1, (0, 5, -100, -5), -3, 1, (2, 100, -4, 3), 1, (2, 8, -80, -70), 2, 1))
    scene.buy(1, stage.qty, limit=stage.level(-50))
    scene.sell(4, stage.half, limit=stage.level(50))
    scene.buy(6, stage.qty, limit=stage.level(60))
    scene.buy(6, stage.half, limit=stage.level(-40))
    return scene


def worst(stage: Stage) -> Scene:
    """The market gaps up beyond what a hold covers, and then beyond a limit."""
    scene = stage.scene("a gap", (0, 1, (300, 310, 290, 300), 302, (700, 710, 690, 700), 700, (200, 210, 190, 200), 201, 200))
    scene.buy(1, stage.qty, worst=stage.level(50))
    scene.buy(1, stage.qty, worst=stage.level(1_000))
    scene.buy(3, stage.qty, limit=stage.level(320), tif=TimeInForce.IOC)
    if stage.perp:
        scene.sell(5, stage.half, worst=stage.level(650))
    scene.sell(5, stage.half, limit=stage.level(600), tif=TimeInForce.IOC)
    scene.sell(6, stage.half, limit=stage.level(150), tif=TimeInForce.IOC)
    return scene


def parts(stage: Stage) -> Scene:
    """Only a part of an order trades in each row; one is canceled with the rest, one fills to its end."""
    lot = stage.market.lot_units
    third = stage.qty // 3 // lot * lot + lot
    scene = stage.scene(
        "fills in parts",
        (0, 1, 2, 3, 1, 2, (1, 4, -60, -3), (-2, 3, -61, -4), 1, 2, 1),
        volumes=dict.fromkeys(range(2, 9), third),
    )
    scene.buy(1, stage.qty, limit=stage.level(200))
    second = scene.buy(4, stage.qty, limit=stage.level(-30))
    scene.cancel(6, second)
    return scene


def canceled(stage: Stage) -> Scene:
    """One order is canceled before the market comes to it, one after it was filled, and one that nobody knows."""
    scene = stage.scene("cancels", (0, 1, 2, 1, 3, (2, 4, -200, -150), -120, -130, (-125, 10, -130, 5), 1))
    scene.cancel(0, scene.draft(0, Place(stage.market, Side.BUY, stage.qty)))
    filled = scene.buy(1, stage.qty)
    scene.cancel(4, filled)
    scene.cancel(5, filled)
    if stage.has(Feature.RESTING):
        order = scene.buy(1, stage.qty, limit=stage.level(-100))
        scene.cancel(3, order)
        scene.cancel(4, order)
        scene.cancel(5, order)
        late = scene.sell(6, stage.half, limit=stage.level(90))
        scene.cancel(6, late)
    return scene


def raced(stage: Stage) -> Scene:
    """The market runs through two orders in one row; when the first fill is told, a cancel of the second is on its way."""
    scene = stage.scene("a cancel that races a fill", (0, 1, (2, 5, -120, -3), 1, (2, 5, -150, -3), 1, 2), volumes={2: 3 * stage.qty // 2})
    near = scene.buy(1, stage.qty, limit=stage.level(-30))
    far = scene.buy(1, stage.qty, limit=stage.level(-90))
    scene.answers = _cancel_upon(near, far)
    return scene


RACED_ACROSS = "a cancel that races a part"


def raced_across(stage: Stage) -> Scene:
    """The market fills one order on its way down and a part of another on its way up; then the rest is canceled."""
    third = stage.qty // 3 // stage.market.lot_units * stage.market.lot_units
    path = (0, 1, 2, 1, (2, 100, -80, 3), 1, (2, 100, -3, 4), 1)
    scene = stage.scene(RACED_ACROSS, path, volumes={4: 2 * third})
    scene.buy(1, 2 * stage.qty)
    near = scene.buy(3, third, limit=stage.level(-30))
    far = scene.sell(3, stage.qty, limit=stage.level(50))
    scene.answers = _cancel_upon(near, far)
    return scene


def _cancel_upon(filled: Order, then: Order) -> Callable[[Event], Sequence[Command]]:
    """Have one order canceled when the first fill of another is told."""
    asked: list[Command] = []

    def answers(event: Event) -> Sequence[Command]:
        if asked or not isinstance(event, Fill) or event.order_id != filled.id:
            return ()
        asked.append(CancelOrder(then))
        return asked

    return answers


def twice(stage: Stage) -> Scene:
    """Everything is sent twice: at once, a row later, and when all is over."""
    scene = stage.scene("sent twice", (0, 1, 2, (1, 3, -60, -2), 1, 2, 3, 1, 2))
    order = scene.buy(1, stage.qty)
    orders = [order]
    if stage.has(Feature.RESTING):
        orders.append(scene.buy(1, stage.qty, limit=stage.level(-40)))
    for row in (1, 2, 5):
        for one in orders:
            scene.again(row, one)
    return scene


def refused(stage: Stage) -> Scene:
    """Orders that no venue takes, each sent twice."""
    market = stage.market
    scene = stage.scene("refusals", (0, 1, 2, 3, 1, 2))
    orders = [scene.buy(1, 1_000 * stage.qty)]
    if not stage.perp:
        orders.append(scene.sell(1, stage.qty))
    if market.min_qty_units > market.lot_units or market.min_notional_units > market.cost(2 * stage.price, market.lot_units, Rounding.CEIL):
        orders.append(scene.buy(1, market.lot_units))
    if market.lot_units > 1:
        orders.append(scene.buy(1, stage.qty + 1))
    for order in orders:
        scene.again(2, order)
    return scene


def stranger(stage: Stage) -> Scene:
    """An order for an instrument that the venue does not have, sent twice."""
    scene = stage.scene("a stranger's order", (0, 1, 2, 3, 1))
    unlisted = evolve(stage.market, symbol="NOBODY-LISTS-THIS")
    order = scene.buy(1, stage.qty, market=unlisted)
    scene.again(2, order)
    return scene


def post_only(stage: Stage) -> Scene:
    """A post-only buy above the market, and one below it that the market comes to."""
    scene = stage.scene("post-only orders", (0, 1, 2, (1, 4, -80, -3), 1, 2))
    scene.buy(1, stage.qty, limit=stage.level(100), post_only=True)
    scene.buy(2, stage.qty, limit=stage.level(-40), post_only=True)
    return scene


def reduce_only(stage: Stage) -> Scene:
    """More is sold than there is, reduce-only, and then again with nothing left."""
    scene = stage.scene("reduce-only orders", CALM)
    scene.sell(0, stage.qty, reduce_only=True)
    scene.buy(2, stage.qty)
    scene.sell(4, stage.half, reduce_only=True)
    if stage.perp:
        scene.sell(6, 2 * stage.qty, reduce_only=True)
        scene.sell(8, stage.qty, reduce_only=True)
    return scene


def fill_or_kill(stage: Stage) -> Scene:
    """One that the market has whole, one that it is too dear for, and one of which a third trades in its row."""
    third = stage.qty // 3 // stage.market.lot_units * stage.market.lot_units
    scene = stage.scene("fill-or-kill orders", (0, 1, 2, 1, 3, 2, 1), volumes={4: third})
    scene.buy(1, stage.qty, limit=stage.level(200), tif=TimeInForce.FOK)
    scene.buy(2, stage.qty, limit=stage.level(-100), tif=TimeInForce.FOK)
    scene.buy(3, stage.qty, limit=stage.level(200), tif=TimeInForce.FOK)
    return scene


def good_til(stage: Stage) -> Scene:
    """Three limits that the market comes to in the sixth row: one ended two rows before, one as that row begins, one goes on."""
    scene = stage.scene("orders that end", (0, 1, 2, 1, 3, (2, 4, -80, -3), 1, 2))
    for end in (scene.script.end(2) + 1, scene.script.rows[5].at, scene.script.end(6)):
        scene.buy(1, stage.qty, limit=stage.level(-40), good_til=end)
    return scene


def transfers(stage: Stage) -> Scene:
    """In and out, twice under one id, and more than there is on either side."""
    scene = stage.scene("transfers", (0, 1, 2, 3, 1, 2, 3, 1))
    into = scene.transfer(1, "in", stage.cash // 4)
    scene.act(1, into)
    scene.act(2, into)
    scene.transfer(2, "beyond-the-wallet", stage.cash)
    out = scene.transfer(3, "out", -(stage.cash // 3) - 1)
    scene.act(4, out)
    scene.transfer(4, "beyond-the-account", -2 * stage.cash)
    return scene


def funded(stage: Stage) -> Scene:
    """Funding of both signs is paid on a long, on a short, and on nothing."""
    rates = {1: 123_457, 4: 100_003, 5: -77_777, 8: 99_991, 9: -100_003, 12: 50_001}
    scene = stage.scene("funding", (*CALM, 2, 0), funding=rates)
    scene.buy(1, stage.qty)
    scene.sell(6, 2 * stage.qty)
    scene.buy(9, stage.qty)
    return scene


def settled(stage: Stage) -> Scene:
    """A gain is realized and settled, a loss is realized and settled, and there is nothing left to settle."""
    scene = stage.scene("settling", (0, 1, 2, 200, 205, 203, 201, 202, 203, -200, -205, -202, -203, -202, -201))
    scene.buy(1, 2 * stage.qty)
    scene.sell(4, stage.qty)
    scene.settle(6)
    scene.sell(9, stage.qty)
    scene.settle(11)
    scene.settle(12)
    return scene


def healthy(stage: Stage) -> Scene:
    """With health at 90, one withdrawal would leave some 88, the other one some 75."""
    assert stage.market.contract is not None
    scene = stage.scene("withdrawals with contracts open", (0, 1, 2, 1, 2, 3, 1, 2))
    scene.buy(1, _lots_of(stage, BP // 10 * BP // stage.market.contract.maintenance_bp))
    scene.transfer(3, "small", -(stage.cash // 10))
    scene.transfer(5, "large", -(stage.cash // 2))
    return scene


def _lots_of(stage: Stage, times_bp: int) -> int:
    """Base units worth so many times the account's cash."""
    return stage.market.affordable(stage.cash * times_bp // BP, stage.price)


def _highest(stage: Stage) -> int:
    """Eight tenths of the leverage that the contract allows, in basis points."""
    assert stage.market.contract is not None
    return 8 * BP * BP // stage.market.contract.initial_bp // 10


def crash(stage: Stage, side: Side, name: str, *, gap: bool) -> Scene:
    """The market goes against an account at high leverage, step by step or at once, and further than it can bear."""
    most = _highest(stage)
    fall = min(9_500, BP * BP // most + (1_500 if gap else 200))
    steps = [0, 1, 2] if gap else [0, 1, 2, *(fall * part // 8 for part in range(1, 8))]
    path = [-side.sign * bp for bp in (*steps, fall, fall, fall + 1)]
    scene = stage.scene(name, path, funding={2: 10_007})
    scene.order(1, side, _lots_of(stage, most))
    if stage.has(Feature.RESTING):
        scene.order(2, side, stage.qty, limit=stage.level(-side.sign * 9_800 if side is Side.BUY else 30_000))
    return scene


def every(stage: Stage) -> Iterator[Scene]:
    """All scenes that this market and what is offered allow."""
    yield round_trip(stage)
    yield worst(stage)
    yield canceled(stage)
    yield twice(stage)
    yield refused(stage)
    if stage.has(Feature.RESTING):
        yield resting(stage)
        yield raced(stage)
        yield raced_across(stage)
    if stage.has(Feature.RESTING, Feature.PARTIAL):
        yield parts(stage)
    if stage.has(Feature.RESTING, Feature.POST_ONLY):
        yield post_only(stage)
    if stage.has(Feature.REDUCE_ONLY):
        yield reduce_only(stage)
    if stage.has(Feature.FILL_OR_KILL):
        yield fill_or_kill(stage)
    if stage.has(Feature.RESTING, Feature.GOOD_TIL):
        yield good_til(stage)
    if stage.has(Feature.TRANSFERS):
        yield transfers(stage)
    if not stage.perp:
        return
    if stage.has(Feature.FUNDING):
        yield funded(stage)
    yield settled(stage)
    if stage.has(Feature.TRANSFERS, Feature.HEALTH):
        yield healthy(stage)
    if stage.has(Feature.LIQUIDATION):
        yield crash(stage, Side.BUY, "a long is liquidated", gap=False)
        yield crash(stage, Side.SELL, "a short is liquidated", gap=False)
        yield crash(stage, Side.BUY, "a long is bankrupted", gap=True)
        yield crash(stage, Side.SELL, "a short is bankrupted", gap=True)


async def play_every(stage: Stage) -> list[Played]:
    """All scenes of `every`, played."""
    return [await stage.play(scene) for scene in every(stage)]
