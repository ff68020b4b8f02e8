"""Playing a script against a venue: commands at their rows, and all that was said on the way.

It sees the public protocol and nothing else. Of what is promised it
knows only that a venue answers: in time, and without raising.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

from attrs import frozen

from ..errors import VenueUnavailable, VenueUnknown
from ..facts import CashFlow, Transferred, TransferRefused
from ..market import MINUTE, FundingRate, Instrument, Quote
from ..money import Amount, Rounding, divide
from ..orders import (
    Accepted,
    Canceled,
    CancelOrder,
    Command,
    Event,
    Fill,
    Order,
    OrderReport,
    Place,
    Position,
    Rejected,
    SettlePnl,
    Side,
    SubmitOrder,
    Transfer,
)
from ..protocols import Venue
from ..records import Fact
from .fold import Folded, fold_events
from .offer import Feature, MakeVenue, Offer
from .script import BEGIN, Row, Script

__all__ = [
    "PLENTY",
    "Past",
    "Pause",
    "Played",
    "PromiseBroken",
    "Scene",
    "Stage",
    "aclose",
]

PLENTY = 1_000_000
"""How many times the suite's usual order trades in a row whose volume limits nothing."""


class PromiseBroken(AssertionError):
    """A venue did what `sleeves.protocols` says it never does. The message is a sentence: the promise, and what was seen."""


class Scene:
    """A script, and what is commanded when the price of each row is told."""

    def __init__(self, stage: Stage, script: Script) -> None:
        self.script = script
        self.stage = stage
        self.acts: dict[int, list[Command]] = {}
        self.answers: Callable[[Event], Sequence[Command]] = lambda _: ()
        self.orders: dict[str, Order] = {}

    def act(self, row: int, command: Command) -> None:
        self.acts.setdefault(row, []).append(command)

    def order(self, row: int, side: Side, qty: int, *, worst: int | None = None, market: Instrument | None = None, **terms: Any) -> Order:
        """Have an order sent when a row's price is told. One at market may cost 10% more than the script's first price."""
        place = Place(market or self.script.instrument, side, qty, **terms)
        order = self.draft(row, place, worst)
        self.act(row, SubmitOrder(order))
        return order

    def draft(self, row: int, place: Place, worst: int | None = None) -> Order:
        """An order of this scene that is not sent yet."""
        opens = place.side is Side.BUY or (place.instrument.contract is not None and not place.reduce_only)
        if worst is None and opens:
            worst = place.limit or self.stage.level(1_000 * place.side.sign)
        order = Order(f"suite-{len(self.orders) + 1}", "suite", place, self.script.end(row), worst)
        self.orders[order.id] = order
        return order

    def buy(self, row: int, qty: int, **terms: Any) -> Order:
        return self.order(row, Side.BUY, qty, **terms)

    def sell(self, row: int, qty: int, **terms: Any) -> Order:
        return self.order(row, Side.SELL, qty, **terms)

    def again(self, row: int, order: Order) -> None:
        self.act(row, SubmitOrder(order))

    def cancel(self, row: int, order: Order) -> None:
        self.act(row, CancelOrder(order))

    def settle(self, row: int) -> None:
        self.act(row, SettlePnl(self.script.instrument))

    def transfer(self, row: int, name: str, units: int) -> Transfer:
        transfer = Transfer(f"suite-transfer-{name}", Amount(units, self.script.instrument.quote))
        self.act(row, transfer)
        return transfer


@frozen(order=False)
class Pause:
    """What the venue said that it holds when a row's price was told, and how many events had been told by then."""

    row: int
    told: int
    balances: Mapping[str, Amount]
    positions: Mapping[str, Position]


@frozen(order=False)
class Past:
    """What the venue said of the past when a scene was over and it was asked."""

    history: Sequence[Fact]
    flows: Sequence[CashFlow]
    open_orders: Sequence[OrderReport]
    reports: Mapping[str, OrderReport | None]
    """By id of each order of the scene, sent or not."""
    since: Mapping[int, tuple[Sequence[Fact], Sequence[CashFlow]]]
    """History and lines from the instants of some facts on."""


class Played:
    """A scene that was played: all that the venue said, and when each order was sent for the first time."""

    def __init__(self, scene: Scene, venue: Venue) -> None:
        self.scene = scene
        self.script = scene.script
        self.venue = venue
        self.told: list[Event] = []
        self.pauses: list[Pause] = []
        self.past = Past((), (), (), {}, {})
        self.sent: dict[str, int] = {}
        """Order ids, and how many events had been told when each was sent first."""
        self.cancels: dict[str, int] = {}
        """The same of orders that a cancel was asked for."""
        self.asked: dict[str, tuple[Transfer, int]] = {}

    @property
    def fills(self) -> list[Fill]:
        """Each fill once, however often it was told."""
        found: list[Fill] = []
        for event in self.told:
            if isinstance(event, Fill) and event not in found:
                found.append(event)
        return found

    def fills_of(self, order: Order | str) -> list[Fill]:
        order_id = order if isinstance(order, str) else order.id
        return [fill for fill in self.fills if fill.order_id == order_id]

    def said_of(self, order: Order | str) -> list[Accepted | Fill | Canceled | Rejected]:
        """All that was said of an order, in the order told; the same fact told again left out."""
        order_id = order if isinstance(order, str) else order.id
        found: list[Accepted | Fill | Canceled | Rejected] = []
        for event in self.told:
            if not isinstance(event, (Accepted, Fill, Canceled, Rejected)) or event.order_id != order_id:
                continue
            if not isinstance(event, Fill) or event not in found:
                found.append(event)
        return found

    def facts(self, *kinds: type[Any]) -> list[Any]:
        """All events of these kinds, each once."""
        found: list[Any] = []
        for event in self.told:
            if isinstance(event, kinds) and event not in found:
                found.append(event)
        return found

    def answers(self, transfer_id: str) -> list[Transferred | TransferRefused]:
        return [event for event in self.told if isinstance(event, (Transferred, TransferRefused)) and event.id == transfer_id]

    def filled(self, order: Order | str) -> int:
        return sum(fill.qty for fill in self.fills_of(order))

    def folded(self, until: int | None = None) -> Folded:
        return fold_events(self.script.balances, self.told[:until])

    def check(self, holds: object, sentence: str) -> None:
        """Raise `PromiseBroken` with the scene's name unless this holds."""
        if not holds:
            raise PromiseBroken(f"In '{self.script.name}' on {self.script.instrument}, {sentence}.")


class Stage:
    """One market of the venue under test, the scenes that are played on it, and the sizes and prices that they use."""

    def __init__(self, make_venue: MakeVenue, offer: Offer, market: Instrument) -> None:
        self.make_venue = make_venue
        self.offer = offer
        self.market = market
        self.perp = market.contract is not None
        self.price = market.round_price(offer.price)
        worth = market.cost(self.price, market.lot_units, Rounding.CEIL)
        need = max(10 * 10**market.quote.scale, 3 * market.min_notional_units)
        lots = max(101, divide(need, max(1, worth), Rounding.CEIL), divide(3 * market.min_qty_units, market.lot_units, Rounding.CEIL))
        self.qty = (lots + 1 - lots % 2) * market.lot_units
        """What an order of the suite is for: an odd number of lots, so that money has to be rounded."""
        self.half = lots // 2 * market.lot_units
        self.cash = 20 * market.cost(self.price, self.qty, Rounding.CEIL)
        """Quote units that an account begins with."""

    def has(self, *features: Feature) -> bool:
        return self.offer.features.issuperset(features)

    def level(self, bp: int) -> int:
        """The script's first price moved by so many basis points, on the tick."""
        return self.market.shift(self.price, bp * 100, Rounding.FLOOR)

    def scene(
        self,
        name: str,
        path: Sequence[int | tuple[int, int, int, int]],
        *,
        volumes: Mapping[int, int] | None = None,
        funding: Mapping[int, int] | None = None,
    ) -> Scene:
        """A scene whose rows are levels in basis points: one for a row of one price, or open, high, low, close.

        `funding` are rates in parts per billion, due in the middle of a row.
        """
        rows = []
        for number, told in enumerate(path):
            open_, high, low, close = (self.level(bp) for bp in (told if isinstance(told, tuple) else (told,) * 4))
            volume = (volumes or {}).get(number, PLENTY * self.qty)
            rows.append(Row(BEGIN + number * MINUTE, open_, high, low, close, volume))
        rates = (
            FundingRate(self.market, BEGIN + row * MINUTE + MINUTE // 2, rate, self.price, 8 * 60 * MINUTE)
            for row, rate in (funding or {}).items()
        )
        balances = {self.market.quote.code: Amount(self.cash, self.market.quote)}
        if not self.perp:
            balances[self.market.base.code] = self.market.base.zero
        wallet = {self.market.quote.code: Amount(self.cash // 2, self.market.quote)}
        return Scene(self, Script(name, self.market, MINUTE, tuple(rows), balances, wallet, tuple(rates) if self.perp else ()))

    async def open(self, scene: Scene) -> Venue:
        made = self.make_venue(scene.script)
        return await made if inspect.isawaitable(made) else made

    async def play(self, scene: Scene) -> Played:
        """Play a scene to the end of the venue's events. Whatever is raised on the way breaks a promise."""
        played = Played(scene, await self.open(scene))
        events = played.venue.events()
        due = 0
        try:
            while (event := await self.next_event(played, events)) is not None:
                played.told.append(event)
                for command in scene.answers(event):
                    await self._carry(played, command)
                while isinstance(event, Quote) and due < len(scene.script.rows) and event.at >= scene.script.end(due):
                    if self.has(Feature.IN_STEP):
                        played.pauses.append(Pause(due, len(played.told), *await self.holds(played)))
                    for command in scene.acts.get(due, ()):
                        await self._carry(played, command)
                    due += 1
            played.check(
                due == len(scene.script.rows), f"events() ended before the price of row {due + 1} of {len(scene.script.rows)} was told"
            )
            played.pauses.append(Pause(due, len(played.told), *await self.holds(played)))
            played.past = await self._past(played)
        finally:
            await aclose(events)
            await aclose(played.venue)
        return played

    async def next_event(self, played: Played, events: Any) -> Event | None:
        said = await self.wait(played, "events()", lambda: anext(events, None))
        played.check(said is None or isinstance(said, Event), f"events() told {said!r}, which is no Event")
        return said if isinstance(said, Event) else None

    async def holds(self, played: Played) -> tuple[Mapping[str, Amount], Mapping[str, Position]]:
        balances = await self.wait(played, "balances()", played.venue.balances)
        positions = await self.wait(played, "positions()", played.venue.positions)
        return dict(balances), dict(positions)

    async def _past(self, played: Played) -> Past:
        venue = played.venue
        history = await self.wait(played, "history(0)", lambda: venue.history(0))
        flows = await self.wait(played, "cash_flows(0)", lambda: venue.cash_flows(0))
        open_ = await self.wait(played, "open_orders()", venue.open_orders)
        reports = {}
        for order in played.scene.orders.values():
            reports[order.id] = await self.wait(played, f"look_up({order.id})", partial(venue.look_up, order))
        since = {}
        for at in sorted({fact.at for fact in history})[1:3]:
            facts = await self.wait(played, f"history({at})", partial(venue.history, at))
            since[at] = facts, await self.wait(played, f"cash_flows({at})", partial(venue.cash_flows, at))
        return Past(history, flows, open_, reports, since)

    async def _carry(self, played: Played, command: Command) -> None:
        venue = played.venue
        if isinstance(command, SubmitOrder):
            played.sent.setdefault(command.order.id, len(played.told))
            await self.wait(played, f"submit({command.order.id})", lambda: venue.submit(command.order))
        elif isinstance(command, CancelOrder):
            played.cancels.setdefault(command.order.id, len(played.told))
            await self.wait(played, f"cancel({command.order.id})", lambda: venue.cancel(command.order))
        elif isinstance(command, SettlePnl):
            await self.wait(played, f"settle({command.instrument})", lambda: venue.settle(command.instrument))
        else:
            played.asked.setdefault(command.id, (command, len(played.told)))
            await self.wait(played, f"transfer({command.id}, {command.amount})", lambda: venue.transfer(command))

    async def wait(self, played: Played, what: str, call: Callable[[], Awaitable[Any]]) -> Any:
        """The answer of the venue; anything that it raises, and no answer in time, breaks its promise."""
        try:
            with self.offer.patience():
                return await call()
        except TimeoutError as error:
            played.check(False, f"{what} did not answer in the time that the offer's patience gives")
            raise AssertionError from error
        except PromiseBroken:
            raise
        except Exception as error:
            told = f"{type(error).__name__}({str(error)!r})"
            if isinstance(error, (VenueUnavailable, VenueUnknown)):
                sentence = f"{what} raised {told}, though nobody had cut the connection"
            else:
                sentence = f"{what} raised {told}; a refusal is an event, and only VenueUnavailable and VenueUnknown may leave it"
            raise PromiseBroken(f"In '{played.script.name}' on {played.script.instrument}, {sentence}.") from error


async def aclose(one: object) -> None:
    """Close a venue, or its stream of events, where it has an `aclose` to wait for."""
    close = getattr(one, "aclose", None)
    if callable(close) and (isinstance(one, AsyncGenerator) or inspect.iscoroutinefunction(close)):
        await close()
