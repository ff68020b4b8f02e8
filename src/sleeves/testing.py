"""The promises of a venue, as tests: what a driver must keep before anybody's money is traded through it.

    class TestMyVenue(venue_suite(make_venue, OFFER)): ...

A `Script` is what the world will do. `make_venue` gives a driver connected to whatever plays it: the simulator, or a
fake server. The suite reads the driver's events and gives its commands through the public protocol and nothing else;
each promise is one test, and a failure is a sentence that says what was promised and what was seen.

What a driver does inside, which wire it speaks, and how its fake server is built is not known here. Nothing in the core
imports this module; pytest is needed only where a suite is made, `audit` does without.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from enum import StrEnum
from itertools import pairwise
from typing import Any, TypeAlias

from attrs import evolve, field, fields, frozen, has

from .desk import Desk
from .errors import VenueUnavailable, VenueUnknown
from .facts import AccountFact, Bankrupted, FundingPaid, Liquidated, Settled, Transferred, TransferRefused
from .live import trade
from .market import BP, MINUTE, SECOND, FundingRate, Instrument, Quote
from .money import PPM, Amount, Rounding, divide
from .orders import (
    Accepted,
    Canceled,
    CancelOrder,
    Command,
    Event,
    Fill,
    Intent,
    Liquidity,
    Order,
    Place,
    Position,
    Rejected,
    SettlePnl,
    Side,
    SubmitOrder,
    TimeInForce,
    Transfer,
)
from .policy import QUIET
from .protocols import Venue, View
from .vault import CoreVault

__all__ = [
    "PROMISES",
    "Audit",
    "Feature",
    "Folded",
    "Offer",
    "Promise",
    "PromiseBroken",
    "Row",
    "Script",
    "Verdict",
    "audit",
    "fold_events",
    "venue_suite",
]

BEGIN = 1_700_000_000 * SECOND
"""When every script begins."""

PLENTY = 1_000_000
"""How many times the suite's usual order trades in a row whose volume limits nothing."""


class PromiseBroken(AssertionError):
    """A venue did what `sleeves.protocols` says it never does. The message is a sentence: the promise, and what was seen."""


# -- what the world will do ------------------------------------------------------------------------------------------


@frozen(order=False)
class Row:
    """One interval of a market: prices in the instrument's units, `volume` in base units, `at` the nanosecond it begins."""

    at: int
    open: int
    high: int
    low: int
    close: int
    volume: int


@frozen(order=False)
class Script:
    """What the world will do: one instrument, an account's coins, a wallet outside of it, rows of prices, funding that falls due.

    Whoever plays it promises to: tell each row's close as a `Quote` at the row's end, and play the next row only when that
    was taken in and what came of it was carried out; have an order act on the row that follows; pay each funding rate at its
    instant on what is held then; and end `events()` when all is told.
    """

    name: str
    instrument: Instrument
    interval: int
    rows: tuple[Row, ...]
    balances: Mapping[str, Amount]
    wallet: Mapping[str, Amount] = field(factory=dict)
    funding: tuple[FundingRate, ...] = ()

    def end(self, row: int) -> int:
        """When a row is over and its close is told."""
        return self.rows[row].at + self.interval

    def columns(self) -> dict[str, Any]:
        """The rows as `Tape.from_columns` takes them: times in nanoseconds, prices and volumes as text."""
        market = self.instrument
        columns: dict[str, Any] = {"ts": [row.at for row in self.rows], "interval": self.interval, "name": self.name}
        for what in ("open", "high", "low", "close"):
            columns[what] = [market.price_text(getattr(row, what)) for row in self.rows]
        return columns | {"volume": [market.qty_text(row.volume) for row in self.rows]}


# -- what a venue offers -----------------------------------------------------------------------------------------------


class Feature(StrEnum):
    """What not every venue has. A promise about it is put to the test only where it is offered."""

    RESTING = "limits that rest"
    """A limit waits on a book until the price trades through it, then fills as maker; every fill is on a tick."""
    PARTIAL = "fills by volume"
    """An order fills at most with what trades in a row, and goes on with the next."""
    POST_ONLY = "post-only orders"
    REDUCE_ONLY = "reduce-only orders"
    TRANSFERS = "transfers"
    FUNDING = "funding"
    LIQUIDATION = "liquidation"
    SETTLES = "settling when asked"
    """Profit stays unsettled until it is asked for; a venue that settles by itself does not have this."""
    HEALTH = "a least health"
    """A withdrawal that would leave health below 80 is refused."""
    REPLAY = "replay"
    """The same script and the same commands give the same events, times and ids included."""
    IN_STEP = "balances in step"
    """When a price is told, `balances` and `positions` are what all events so far make, no more and no less."""


@frozen(order=False)
class Offer:
    """What a venue under test says of itself.

    `maker_ppm` and `taker_ppm` are its fees in parts per million of the trade (below zero: a rebate), rounded up to
    `fee_step` units. `price` is about where its markets stand. `break_connection` cuts the wire of a venue, where a driver
    has one. `patience` gives a context in which each wait for the venue is spent: `lambda: anyio.fail_after(5)` turns a
    driver that hangs into a test that fails.
    """

    spot: Instrument | None = None
    perp: Instrument | None = None
    maker_ppm: int = 0
    taker_ppm: int = 0
    features: frozenset[Feature] = field(factory=frozenset, converter=frozenset)
    price: str = "20000"
    fee_step: int = 1
    break_connection: Callable[[Any], Awaitable[None] | None] | None = None
    patience: Callable[[], AbstractContextManager[object]] = nullcontext

    def __attrs_post_init__(self) -> None:
        if not self.markets:
            raise ValueError("an offer names a spot instrument, a perpetual, or both")
        for what, market, contract in (("spot", self.spot, False), ("perp", self.perp, True)):
            if market is not None and (market.contract is not None) is not contract:
                raise ValueError(f"{market.symbol} was offered as {what}, but it is of kind {market.kind}")
        if not all(isinstance(feature, Feature) for feature in self.features):
            raise ValueError(f"features {sorted(map(str, self.features))} must all be members of Feature")

    @property
    def markets(self) -> tuple[Instrument, ...]:
        return tuple(market for market in (self.spot, self.perp) if market is not None)


MakeVenue: TypeAlias = Callable[[Script], Venue | Awaitable[Venue]]
"""A fresh driver, connected to whatever plays this script. It is closed with `aclose`, where it has one."""


# -- what the events make -----------------------------------------------------------------------------------------------


class Folded:
    """What an account holds, by nothing but what its venue said. Read `coins` and `positions` at any time.

    Each fact with a key counts once, however often it is told; one that comes again with other content is not counted and
    noted in `conflicts`. It never asks the venue, and knows no order that was not filled.
    """

    def __init__(self, start: Mapping[str, Amount]) -> None:
        self.coins: dict[str, Amount] = dict(start)
        self.filled: dict[str, int] = {}
        """Base units filled by order id."""
        self.conflicts: list[str] = []
        self._positions: dict[str, Position] = {}
        self._known: dict[str, Fill | AccountFact] = {}

    @property
    def positions(self) -> dict[str, Position]:
        """Contracts by symbol, and what is unsettled of them; those with neither left out."""
        return {symbol: held for symbol, held in self._positions.items() if held.qty or held.money}

    def position(self, instrument: Instrument) -> Position:
        return self._positions.get(instrument.symbol, Position(instrument, 0, 0))

    def take(self, event: Event) -> None:
        """Count one event. Prices and what is only said of an order move nothing."""
        if not isinstance(event, (Fill, AccountFact)):
            return
        known = self._known.get(event.key)
        if known is not None:
            if known != event:
                self.conflicts.append(f"{event.key} was told with other content before: {known} and {event}")
            return
        self._known[event.key] = event
        if isinstance(event, Fill):
            self._fill(event)
        elif isinstance(event, Transferred):
            self._move(event.amount)
        else:
            self._contract(event)

    def _fill(self, fill: Fill) -> None:
        self.filled[fill.order_id] = self.filled.get(fill.order_id, 0) + fill.qty
        market, sign, fee = fill.instrument, fill.side.sign, fill.fee
        if market.contract is None:
            self._move(Amount(sign * fill.qty, market.base), Amount(-sign * fill.cost, market.quote), -fee)
        elif fee.asset == market.quote:
            self._hold(market, sign * fill.qty, -sign * fill.cost - fee.units)
        else:
            self._hold(market, sign * fill.qty, -sign * fill.cost)
            self._move(-fee)

    def _contract(self, fact: FundingPaid | Settled | Liquidated | Bankrupted) -> None:
        market = fact.instrument
        if isinstance(fact, Settled):
            self._hold(market, 0, -fact.amount)
            self._move(Amount(fact.amount, market.quote))
        elif isinstance(fact, Liquidated):
            self._hold(market, fact.change, (-fact.cost if fact.change > 0 else fact.cost) - fact.fee.units)
        else:
            self._hold(market, 0, fact.amount)

    def _hold(self, market: Instrument, qty: int, money: int) -> None:
        held = self.position(market)
        self._positions[market.symbol] = evolve(held, qty=held.qty + qty, money=held.money + money)

    def _move(self, *amounts: Amount) -> None:
        for amount in amounts:
            code = amount.asset.code
            self.coins[code] = self.coins.get(code, amount.asset.zero) + amount

    def differ(self, balances: Mapping[str, Amount], positions: Mapping[str, Position] | None = None) -> list[str]:
        """Where what the venue says it holds is not what its events make, each in a sentence; nothing where both agree."""
        found = []
        for code in sorted(self.coins.keys() | balances.keys()):
            made, said = self.coins.get(code), balances.get(code)
            agree = made == said if made is not None and said is not None else not any(one.units for one in (made, said) if one is not None)
            if not agree:
                has, makes = (f"none of {code}" if one is None else one for one in (said, made))
                found.append(f"balances() says {has}, its events make {makes}")
        if positions is not None:
            ours = self.positions
            for symbol in sorted(ours.keys() | positions.keys()):
                one, other = ours.get(symbol), positions.get(symbol)
                if _figures(one) != _figures(other):
                    found.append(f"positions() says {_shown(other)} of {symbol}, its events make {_shown(one)}")
        return found


def fold_events(start: Mapping[str, Amount], events: Iterable[Event]) -> Folded:
    """What an account that began with these coins holds after these events."""
    folded = Folded(start)
    for event in events:
        folded.take(event)
    return folded


def _figures(held: Position | None) -> tuple[int, int]:
    return (0, 0) if held is None else (held.qty, held.money)


def _shown(held: Position | None) -> str:
    qty, money = _figures(held)
    return f"{qty} base units and {money} quote units"


# -- playing a script ------------------------------------------------------------------------------------------------------


class _Scene:
    """A script, and what is commanded when the price of each row is told."""

    def __init__(self, stage: _Stage, script: Script) -> None:
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
class _Pause:
    """What the venue said that it holds when a row's price was told, and how many events had been told by then."""

    row: int
    told: int
    balances: Mapping[str, Amount]
    positions: Mapping[str, Position]


class _Played:
    """A scene that was played: all that the venue said, and when each order was sent for the first time."""

    def __init__(self, scene: _Scene, venue: Venue) -> None:
        self.scene = scene
        self.script = scene.script
        self.venue = venue
        self.told: list[Event] = []
        self.pauses: list[_Pause] = []
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

    def filled(self, order: Order | str) -> int:
        return sum(fill.qty for fill in self.fills_of(order))

    def folded(self, until: int | None = None) -> Folded:
        return fold_events(self.script.balances, self.told[:until])

    def check(self, holds: object, sentence: str) -> None:
        """Raise `PromiseBroken` with the scene's name unless this holds."""
        if not holds:
            raise PromiseBroken(f"In '{self.script.name}' on {self.script.instrument}, {sentence}.")


class _Stage:
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
    ) -> _Scene:
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
        return _Scene(self, Script(name, self.market, MINUTE, tuple(rows), balances, wallet, tuple(rates) if self.perp else ()))

    async def open(self, scene: _Scene) -> Venue:
        made = self.make_venue(scene.script)
        return await made if inspect.isawaitable(made) else made

    async def play(self, scene: _Scene) -> _Played:
        """Play a scene to the end of the venue's events. Whatever is raised on the way breaks a promise."""
        played = _Played(scene, await self.open(scene))
        events = played.venue.events()
        due = 0
        try:
            while (event := await self._next(played, events)) is not None:
                played.told.append(event)
                for command in scene.answers(event):
                    await self._carry(played, command)
                while isinstance(event, Quote) and due < len(scene.script.rows) and event.at >= scene.script.end(due):
                    if self.has(Feature.IN_STEP):
                        played.pauses.append(_Pause(due, len(played.told), *await self.holds(played)))
                    for command in scene.acts.get(due, ()):
                        await self._carry(played, command)
                    due += 1
            played.check(
                due == len(scene.script.rows), f"events() ended before the price of row {due + 1} of {len(scene.script.rows)} was told"
            )
            played.pauses.append(_Pause(due, len(played.told), *await self.holds(played)))
        finally:
            await _close(events)
            await _close(played.venue)
        return played

    async def _next(self, played: _Played, events: Any) -> Event | None:
        said = await self._wait(played, "events()", lambda: anext(events, None))
        played.check(said is None or isinstance(said, Event), f"events() told {said!r}, which is no Event")
        return said if isinstance(said, Event) else None

    async def holds(self, played: _Played) -> tuple[Mapping[str, Amount], Mapping[str, Position]]:
        balances = await self._wait(played, "balances()", played.venue.balances)
        positions = await self._wait(played, "positions()", played.venue.positions)
        return dict(balances), dict(positions)

    async def _carry(self, played: _Played, command: Command) -> None:
        venue = played.venue
        if isinstance(command, SubmitOrder):
            played.sent.setdefault(command.order.id, len(played.told))
            await self._wait(played, f"submit({command.order.id})", lambda: venue.submit(command.order))
        elif isinstance(command, CancelOrder):
            played.cancels.setdefault(command.order.id, len(played.told))
            await self._wait(played, f"cancel({command.order.id})", lambda: venue.cancel(command.order))
        elif isinstance(command, SettlePnl):
            await self._wait(played, f"settle({command.instrument})", lambda: venue.settle(command.instrument))
        else:
            played.asked.setdefault(command.id, (command, len(played.told)))
            await self._wait(played, f"transfer({command.id}, {command.amount})", lambda: venue.transfer(command))

    async def _wait(self, played: _Played, what: str, call: Callable[[], Awaitable[Any]]) -> Any:
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

    async def every_scene(self) -> list[_Played]:
        """All scenes that this market and what is offered allow, played."""
        return [await self.play(scene) for scene in _scenes(self)]


async def _close(one: object) -> None:
    close = getattr(one, "aclose", None)
    if callable(close) and (isinstance(one, AsyncGenerator) or inspect.iscoroutinefunction(close)):
        await close()


# -- the scenes ----------------------------------------------------------------------------------------------------------------

_CALM = (0, (3, 9, -7, 2), (2, 6, -5, -4), 1, (1, 8, -9, 5), 3, (4, 7, -6, -2), 0, 2, -1, 3, 1)


def _round_trip(stage: _Stage) -> _Scene:
    """In at market, out in two parts; a venue may take its fee of a buy in what was bought."""
    scene = stage.scene("a round trip", _CALM)
    scene.buy(1, stage.qty)
    scene.sell(4, stage.half)
    scene.sell(6, stage.qty - stage.half if stage.perp else stage.qty // 3 // stage.market.lot_units * stage.market.lot_units)
    return scene


def _resting(stage: _Stage) -> _Scene:
    """A limit below the market and one above it, each reached, and a third that the market has passed when it comes."""
    scene = stage.scene("limits that rest", (0, 1, (0, 5, -100, -5), -3, 1, (2, 100, -4, 3), 1, (2, 8, -80, -70), 2, 1))
    scene.buy(1, stage.qty, limit=stage.level(-50))
    scene.sell(4, stage.half, limit=stage.level(50))
    scene.buy(6, stage.qty, limit=stage.level(60))
    scene.buy(6, stage.half, limit=stage.level(-40))
    return scene


def _worst(stage: _Stage) -> _Scene:
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


def _parts(stage: _Stage) -> _Scene:
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


def _canceled(stage: _Stage) -> _Scene:
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


def _raced(stage: _Stage) -> _Scene:
    """The market runs through two orders in one row; when the first fill is told, a cancel of the second is on its way."""
    scene = stage.scene("a cancel that races a fill", (0, 1, (2, 5, -120, -3), 1, (2, 5, -150, -3), 1, 2), volumes={2: 3 * stage.qty // 2})
    near = scene.buy(1, stage.qty, limit=stage.level(-30))
    far = scene.buy(1, stage.qty, limit=stage.level(-90))
    scene.answers = _cancel_upon(near, far)
    return scene


_RACED_ACROSS = "a cancel that races a part"


def _raced_across(stage: _Stage) -> _Scene:
    """The market fills one order on its way down and a part of another on its way up; then the rest is canceled."""
    third = stage.qty // 3 // stage.market.lot_units * stage.market.lot_units
    path = (0, 1, 2, 1, (2, 100, -80, 3), 1, (2, 100, -3, 4), 1)
    scene = stage.scene(_RACED_ACROSS, path, volumes={4: 2 * third})
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


def _twice(stage: _Stage) -> _Scene:
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


def _refused(stage: _Stage) -> _Scene:
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


def _stranger(stage: _Stage) -> _Scene:
    """An order for an instrument that the venue does not have, sent twice."""
    scene = stage.scene("a stranger's order", (0, 1, 2, 3, 1))
    unlisted = evolve(stage.market, symbol="NOBODY-LISTS-THIS")
    order = scene.buy(1, stage.qty, market=unlisted)
    scene.again(2, order)
    return scene


def _post_only(stage: _Stage) -> _Scene:
    scene = stage.scene("post-only orders", (0, 1, 2, (1, 4, -80, -3), 1, 2))
    scene.buy(1, stage.qty, limit=stage.level(100), post_only=True)
    scene.buy(2, stage.qty, limit=stage.level(-40), post_only=True)
    return scene


def _reduce_only(stage: _Stage) -> _Scene:
    """More is sold than there is, reduce-only, and then again with nothing left."""
    scene = stage.scene("reduce-only orders", _CALM)
    scene.sell(0, stage.qty, reduce_only=True)
    scene.buy(2, stage.qty)
    scene.sell(4, stage.half, reduce_only=True)
    if stage.perp:
        scene.sell(6, 2 * stage.qty, reduce_only=True)
        scene.sell(8, stage.qty, reduce_only=True)
    return scene


def _transfers(stage: _Stage) -> _Scene:
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


def _funded(stage: _Stage) -> _Scene:
    """Funding of both signs is paid on a long, on a short, and on nothing."""
    rates = {1: 123_457, 4: 100_003, 5: -77_777, 8: 99_991, 9: -100_003, 12: 50_001}
    scene = stage.scene("funding", (*_CALM, 2, 0), funding=rates)
    scene.buy(1, stage.qty)
    scene.sell(6, 2 * stage.qty)
    scene.buy(9, stage.qty)
    return scene


def _settled(stage: _Stage) -> _Scene:
    """A gain is realized and settled, a loss is realized and settled, and there is nothing left to settle."""
    scene = stage.scene("settling", (0, 1, 2, 200, 205, 203, 201, 202, 203, -200, -205, -202, -203, -202, -201))
    scene.buy(1, 2 * stage.qty)
    scene.sell(4, stage.qty)
    scene.settle(6)
    scene.sell(9, stage.qty)
    scene.settle(11)
    scene.settle(12)
    return scene


def _healthy(stage: _Stage) -> _Scene:
    """With health at 90, one withdrawal would leave some 88, the other one some 75."""
    assert stage.market.contract is not None
    scene = stage.scene("withdrawals with contracts open", (0, 1, 2, 1, 2, 3, 1, 2))
    scene.buy(1, _lots_of(stage, BP // 10 * BP // stage.market.contract.maintenance_bp))
    scene.transfer(3, "small", -(stage.cash // 10))
    scene.transfer(5, "large", -(stage.cash // 2))
    return scene


def _lots_of(stage: _Stage, times_bp: int) -> int:
    """Base units worth so many times the account's cash."""
    return stage.market.affordable(stage.cash * times_bp // BP, stage.price)


def _highest(stage: _Stage) -> int:
    """Eight tenths of the leverage that the contract allows, in basis points."""
    assert stage.market.contract is not None
    return 8 * BP * BP // stage.market.contract.initial_bp // 10


def _crash(stage: _Stage, side: Side, name: str, *, gap: bool) -> _Scene:
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


def _scenes(stage: _Stage) -> Iterator[_Scene]:
    yield _round_trip(stage)
    yield _worst(stage)
    yield _canceled(stage)
    yield _twice(stage)
    yield _refused(stage)
    if stage.has(Feature.RESTING):
        yield _resting(stage)
        yield _raced(stage)
        yield _raced_across(stage)
    if stage.has(Feature.RESTING, Feature.PARTIAL):
        yield _parts(stage)
    if stage.has(Feature.RESTING, Feature.POST_ONLY):
        yield _post_only(stage)
    if stage.has(Feature.REDUCE_ONLY):
        yield _reduce_only(stage)
    if stage.has(Feature.TRANSFERS):
        yield _transfers(stage)
    if not stage.perp:
        return
    if stage.has(Feature.FUNDING):
        yield _funded(stage)
    yield _settled(stage)
    if stage.has(Feature.TRANSFERS, Feature.HEALTH):
        yield _healthy(stage)
    if stage.has(Feature.LIQUIDATION):
        yield _crash(stage, Side.BUY, "a long is liquidated", gap=False)
        yield _crash(stage, Side.SELL, "a short is liquidated", gap=False)
        yield _crash(stage, Side.BUY, "a long is bankrupted", gap=True)
        yield _crash(stage, Side.SELL, "a short is bankrupted", gap=True)


# -- the promises ----------------------------------------------------------------------------------------------------------------


@frozen(order=False)
class Promise:
    """One promise of a venue: its name, what it says, what a venue must offer to be held to it, and the check."""

    name: str
    says: str
    needs: frozenset[Feature]
    kind: str
    """ "", "perp" or "wire": any market, perpetuals only, or where the connection can be cut."""
    check: Callable[[_Stage], Awaitable[None]]

    def passed_over(self, offer: Offer, market: Instrument) -> str:
        """Why it is not put to the test on this market, or nothing."""
        missing = sorted(self.needs - offer.features)
        if missing:
            return f"the venue does not offer {' and '.join(missing)}"
        if self.kind == "perp" and market.contract is None:
            return f"{market} is not a perpetual"
        if self.kind == "wire" and offer.break_connection is None:
            return "the offer has no break_connection"
        return ""

    async def keep(self, make_venue: MakeVenue, offer: Offer, market: Instrument) -> None:
        """Put it to the test. Raises `PromiseBroken`, which says what was promised and what was seen."""
        __tracebackhide__ = True
        try:
            await self.check(_Stage(make_venue, offer, market))
        except PromiseBroken as error:
            raise PromiseBroken(f"{self.says} {error}") from error.__cause__


_promises: list[Promise] = []


def _promise(*needs: Feature, kind: str = "") -> Callable[[Callable[[_Stage], Awaitable[None]]], Callable[[_Stage], Awaitable[None]]]:
    def take(check: Callable[[_Stage], Awaitable[None]]) -> Callable[[_Stage], Awaitable[None]]:
        _promises.append(Promise(check.__name__.lstrip("_"), str(check.__doc__).strip(), frozenset(needs), kind, check))
        return check

    return take


# signs and rounding


def _check_fees(played: _Played, stage: _Stage, liquidity: Liquidity, rate: int) -> None:
    """Every fill of this liquidity has a fee of the rate's sign, and of its size to within a step for each fill."""
    met = [fill for fill in played.fills if fill.liquidity is liquidity]
    played.check(met, f"no order was filled as {liquidity}, so nothing was proved")
    for fill in met:
        played.check(
            fill.fee.units * (rate or 1) >= 0 and (rate or not fill.fee.units), f"{_told(fill)} has a fee of {fill.fee} at {rate} ppm"
        )
        played.check(fill.fee.asset in (fill.instrument.quote, fill.instrument.base), f"{_told(fill)} has its fee in {fill.fee.asset}")
        most = _due(fill, stage.offer) + len(met) * stage.offer.fee_step * PPM
        played.check(fill.fee.units * PPM < most, f"{_told(fill)} has a fee of {fill.fee}, more than {rate} ppm and the rounding come to")


def _due(fill: Fill, offer: Offer) -> int:
    """A fill's fee in millionths of a unit, as offered."""
    rate = offer.maker_ppm if fill.liquidity is Liquidity.MAKER else offer.taker_ppm
    return rate * (fill.cost if fill.fee.asset == fill.instrument.quote else fill.qty)


def _told(fill: Fill) -> str:
    return f"fill {fill.trade_id} of {fill.order_id} ({fill.side} {fill.qty} at {fill.price} for {fill.cost})"


@_promise()
async def _a_taker_pays_its_fee(stage: _Stage) -> None:
    """Who takes pays the fee that is offered: above zero it is paid, below zero it is received."""
    for scene in (_round_trip(stage), _worst(stage)):
        _check_fees(await stage.play(scene), stage, Liquidity.TAKER, stage.offer.taker_ppm)


@_promise(Feature.RESTING)
async def _a_maker_pays_its_fee_or_receives_its_rebate(stage: _Stage) -> None:
    """Who makes pays the fee that is offered, or receives it where it is below zero."""
    _check_fees(await stage.play(_resting(stage)), stage, Liquidity.MAKER, stage.offer.maker_ppm)


@_promise()
async def _a_fee_is_rounded_against_us(stage: _Stage) -> None:
    """The fees of an order come to no less than its rate says."""
    for played in await stage.every_scene():
        for order_id in played.sent:
            fills = played.fills_of(order_id)
            for asset in {fill.fee.asset.code: fill.fee.asset for fill in fills}.values():
                taken = [fill for fill in fills if fill.fee.asset == asset]
                paid, due = sum(fill.fee.units for fill in taken), sum(_due(fill, stage.offer) for fill in taken)
                told = f"{order_id} paid {Amount(paid, asset)} in fees for {len(taken)} fills, less than the {due} millionths of a unit due"
                played.check(paid * PPM >= due, told)


@_promise()
async def _a_cost_is_rounded_against_us(stage: _Stage) -> None:
    """What is bought costs no less than its price times its quantity, and what is sold brings no more, a unit aside."""
    for played in await stage.every_scene():
        for fill in played.fills:
            least, most = (fill.instrument.cost(fill.price, fill.qty, way) for way in (Rounding.FLOOR, Rounding.CEIL))
            if fill.side is Side.BUY:
                played.check(fill.cost >= least, f"{_told(fill)} cost less than the {least} that its price says")
            else:
                played.check(fill.cost <= most, f"{_told(fill)} brought more than the {most} that its price says")
        for liquidation in _facts(played, Liquidated):
            market, qty = liquidation.instrument, abs(liquidation.change)
            least, most = (market.cost(liquidation.price, qty, way) for way in (Rounding.FLOOR, Rounding.CEIL))
            holds = liquidation.cost >= least if liquidation.change > 0 else liquidation.cost <= most
            played.check(holds, f"{_word(liquidation)} was for better money than its price says: {least} to {most}")


@_promise()
async def _a_fill_is_of_whole_lots_and_ticks(stage: _Stage) -> None:
    """A fill is of whole lots and, on a book, at a price on the tick."""
    for played in await stage.every_scene():
        for fill in played.fills:
            market = fill.instrument
            played.check(not fill.qty % market.lot_units, f"{_told(fill)} is not of whole lots of {market.lot_units} units")
            on_tick = not fill.price % market.tick_units or not stage.has(Feature.RESTING)
            played.check(on_tick, f"{_told(fill)} is not at a whole tick of {market.tick_units} units")


@_promise()
async def _a_limit_is_never_filled_worse(stage: _Stage) -> None:
    """A limit is never filled worse than its limit."""
    seen = 0
    for played in await stage.every_scene():
        for order in played.scene.orders.values():
            limit = order.place.limit
            for fill in played.fills_of(order) if limit is not None else ():
                assert limit is not None
                seen += 1
                worse = (fill.price - limit) * order.place.side.sign > 0
                played.check(not worse, f"{_told(fill)} is worse than the limit {limit}")
                bound = fill.instrument.cost(limit, fill.qty, Rounding.CEIL if order.place.side is Side.BUY else Rounding.FLOOR)
                dear = (fill.cost - bound) * order.place.side.sign > 0
                played.check(not dear, f"{_told(fill)} is for worse money than its limit {limit} allows, {bound}")
    if not seen:
        raise PromiseBroken("no limit was filled in any scene, so nothing was proved.")


@_promise()
async def _no_order_is_filled_beyond_its_worst_price(stage: _Stage) -> None:
    """An order is never filled beyond `order.worst`, the price that the money held for it covers."""
    played = await stage.play(_worst(stage))
    tight, wide = list(played.scene.orders.values())[:2]
    for order in played.scene.orders.values():
        for fill in played.fills_of(order):
            beyond = order.worst is not None and (fill.price - order.worst) * order.place.side.sign > 0
            played.check(not beyond, f"{_told(fill)} is beyond the order's worst price {order.worst}")
    played.check(played.filled(wide), f"{wide.id} was not filled, though its worst price covers the gap: nothing was proved")
    played.check(played.filled(tight) < tight.place.qty, f"{tight.id} was filled, though the market had left its worst price")


# once


@_promise()
async def _an_order_sent_twice_is_one_order(stage: _Stage) -> None:
    """Sending the same order id again does nothing: there is one order, one set of fills and one refusal."""
    played = await stage.play(_twice(stage))
    for order in played.scene.orders.values():
        filled = played.filled(order)
        played.check(filled == order.place.qty, f"{order.id} was sent four times for {order.place.qty} units, and {filled} were filled")
    refused = await stage.play(_refused(stage))
    for one in (played, refused):
        for order_id in one.sent:
            for kind in (Accepted, Rejected):
                times = sum(isinstance(event, kind) for event in one.said_of(order_id))
                one.check(times <= 1, f"{order_id} was {kind.__name__} {times} times: each sending was taken for an order of its own")


@_promise()
async def _a_cancel_sent_twice_is_one_cancel(stage: _Stage) -> None:
    """However often a cancel is asked for, it is answered once."""
    played = await stage.play(_canceled(stage))
    for order_id in played.cancels:
        times = sum(isinstance(event, Canceled) for event in played.said_of(order_id))
        played.check(times <= 1, f"{order_id} was Canceled {times} times")


@_promise(Feature.TRANSFERS)
async def _a_transfer_sent_twice_is_one_transfer(stage: _Stage) -> None:
    """Sending the same transfer id again does nothing."""
    played = await stage.play(_transfers(stage))
    for transfer_id in played.asked:
        answers = _answers(played, transfer_id)
        played.check(len(answers) == 1, f"{transfer_id} was answered {len(answers)} times: {_list(answers)}")


# off the book


@_promise()
async def _a_cancel_of_what_is_not_open_is_passed_over(stage: _Stage) -> None:
    """A cancel of an order that is filled says nothing more of it, and one of an unknown order is passed over or answered once."""
    played = await stage.play(_canceled(stage))
    unknown, filled = list(played.scene.orders.values())[:2]
    played.check(len(played.said_of(unknown)) <= 1, f"{unknown.id} was never sent, and was spoken of: {_list(played.said_of(unknown))}")
    played.check(played.filled(unknown) == 0, f"{unknown.id} was never sent, and was filled")
    played.check(played.filled(filled) == filled.place.qty, f"{filled.id}, at market, was not filled within three rows: nothing was proved")
    last = played.said_of(filled)[-1]
    played.check(isinstance(last, Fill), f"{filled.id} was filled, and a cancel was answered with {_word(last)}")


@_promise()
async def _an_order_is_canceled_or_filled_and_not_both(stage: _Stage) -> None:
    """An order that is filled whole is not canceled, and one that is canceled has a rest that never fills."""
    for played in await stage.every_scene():
        for order in played.scene.orders.values():
            canceled = [event for event in played.said_of(order) if isinstance(event, Canceled)]
            filled = played.filled(order)
            both = canceled and filled >= order.place.qty
            played.check(not both, f"{order.id} was filled with all its {order.place.qty} units, and Canceled: {_list(canceled)}")


@_promise()
async def _nothing_fills_after_a_cancel(stage: _Stage) -> None:
    """After `Canceled`, no fill of the order happens; one may still be told that happened before."""
    for played in await stage.every_scene():
        for order_id in played.sent:
            canceled = None
            for event in played.said_of(order_id):
                if isinstance(event, Canceled):
                    canceled = event
                elif canceled is not None and isinstance(event, Fill):
                    played.check(event.at <= canceled.at, f"{_told(event)} happened at {event.at}, after {_word(canceled)}")


@_promise(Feature.RESTING)
async def _a_canceled_order_goes_off_the_book(stage: _Stage) -> None:
    """`Canceled` comes for every open order whose cancel was asked for, unless it was filled first."""
    played = await stage.play(_canceled(stage))
    order = next(one for one in played.scene.orders.values() if one.place.limit is not None)
    said = played.said_of(order)
    played.check(
        any(isinstance(event, Canceled) for event in said), f"a cancel of {order.id} was asked for, and all that was said is: {_list(said)}"
    )
    played.check(
        not played.filled(order), f"{order.id} was canceled before the market came to it, and {played.filled(order)} units were filled"
    )


# fills


@_promise()
async def _fills_never_exceed_their_order(stage: _Stage) -> None:
    """The fills of an order never come to more than it was for, and are of its instrument and side."""
    for played in await stage.every_scene():
        for order in played.scene.orders.values():
            filled = played.filled(order)
            played.check(filled <= order.place.qty, f"{order.id} was for {order.place.qty} units, and {filled} were filled")
            for fill in played.fills_of(order):
                same = fill.side is order.place.side and fill.instrument == order.place.instrument
                played.check(same, f"{_told(fill)} is of another side or instrument than was ordered")


@_promise()
async def _every_fill_has_a_key_of_its_own(stage: _Stage) -> None:
    """Each trade has an id of its own at its venue: two fills with one key are one fill told twice, word for word."""
    for played in await stage.every_scene():
        keys: dict[str, Fill | AccountFact] = {}
        trades: dict[tuple[str, str, str], Fill] = {}
        for event in played.told:
            if isinstance(event, (Fill, AccountFact)):
                played.check(
                    keys.setdefault(event.key, event) == event, f"two facts have the key {event.key}: {_list([keys[event.key], event])}"
                )
            if isinstance(event, Fill):
                trade = trades.setdefault((event.venue, event.instrument.symbol, event.trade_id), event)
                played.check(trade == event, f"two fills have the trade id {event.trade_id!r}: {_list([trade, event])}")


@_promise(Feature.RESTING, Feature.PARTIAL)
async def _a_part_fills_when_only_a_part_is_there(stage: _Stage) -> None:
    """An order for more than what trades fills in parts: all of it in time, or what there was until its cancel."""
    played = await stage.play(_parts(stage))
    first, second = played.scene.orders.values()
    parts, cut = played.fills_of(first), played.filled(second)
    played.check(len(parts) > 1, f"{first.id} was filled in {len(parts)} parts, though a third of it trades in a row")
    played.check(played.filled(first) == first.place.qty, f"{first.id} was filled with {played.filled(first)} of {first.place.qty} units")
    played.check(0 < cut < second.place.qty, f"{second.id}, canceled after a part, was filled with {cut} of {second.place.qty} units")
    ends = isinstance(played.said_of(second)[-1], Canceled)
    played.check(ends, f"{second.id} was canceled with a rest, and the last that was said is {_word(played.said_of(second)[-1])}")


# the same again, refusals, and a lost wire


@_promise(Feature.REPLAY)
async def _the_same_script_says_the_same(stage: _Stage) -> None:
    """The same script and the same commands give the same events."""
    for first, second in zip(await stage.every_scene(), await stage.every_scene(), strict=True):
        for number, (one, other) in enumerate(zip(first.told, second.told, strict=False), 1):
            first.check(one == other, f"event {number} was {_word(one)}, and {_word(other)} when it was played again")
        first.check(
            len(first.told) == len(second.told), f"{len(first.told)} events were told, and {len(second.told)} when it was played again"
        )


@_promise()
async def _a_refusal_is_an_event(stage: _Stage) -> None:
    """An order that the venue refuses comes back as one `Rejected` with a reason; nothing of it is done, and nothing raised."""
    played = await stage.play(_refused(stage))
    for order in played.scene.orders.values():
        said = played.said_of(order)
        rejected = [event for event in said if isinstance(event, Rejected)]
        played.check(rejected, f"{order.id} ({order.place.side} {order.place.qty}) was not Rejected; what was said is: {_list(said)}")
        played.check(rejected[0].reason, f"{order.id} was Rejected without a reason")
        played.check(len(said) == len(rejected), f"{order.id} was Rejected, and more was said of it: {_list(said)}")


@_promise()
async def _an_order_for_a_stranger_is_refused(stage: _Stage) -> None:
    """An order for an instrument that the venue does not have is a `Rejected` event."""
    played = await stage.play(_stranger(stage))
    (order,) = played.scene.orders.values()
    said = played.said_of(order)
    played.check(said and isinstance(said[0], Rejected), f"{order.id} for {order.place.instrument} was answered with: {_list(said)}")


@_promise()
async def _an_order_for_a_stranger_sent_twice_is_refused_once(stage: _Stage) -> None:
    """Sending the same id again does nothing, also when it was refused for its instrument."""
    played = await stage.play(_stranger(stage))
    (order,) = played.scene.orders.values()
    said = played.said_of(order)
    played.check(len(said) <= 1, f"{order.id} was sent twice, and answered {len(said)} times: {_list(said)}")


@_promise(kind="wire")
async def _only_venue_errors_leave_a_broken_connection(stage: _Stage) -> None:
    """A driver whose connection is cut raises `VenueUnavailable` or `VenueUnknown` and nothing else."""
    assert stage.offer.break_connection is not None
    scene = stage.scene("a connection that breaks", _CALM)
    played = _Played(scene, await stage.open(scene))
    venue, events = played.venue, played.venue.events()
    order, transfer = scene.draft(1, Place(stage.market, Side.BUY, stage.qty)), Transfer("suite-transfer-cut", stage.market.quote.units(1))
    sent, read = (VenueUnavailable, VenueUnknown), (VenueUnavailable,)
    calls: list[tuple[str, Callable[[], Awaitable[Any]], tuple[type[Exception], ...]]] = [
        ("submit()", lambda: venue.submit(order), sent),
        ("cancel()", lambda: venue.cancel(order), sent),
        ("settle()", lambda: venue.settle(stage.market), sent),
        ("transfer()", lambda: venue.transfer(transfer), sent),
        ("balances()", venue.balances, read),
        ("positions()", venue.positions, read),
        ("events()", lambda: anext(events, None), read),
    ]
    try:
        await stage._next(played, events)
        cut = stage.offer.break_connection(venue)
        if inspect.isawaitable(cut):
            await cut
        raised = 0
        for what, call, allowed in calls:
            if what == "transfer()" and not stage.has(Feature.TRANSFERS):
                continue
            try:
                with stage.offer.patience():
                    await call()
            except allowed:
                raised += 1
            except Exception as error:
                names = " or ".join(kind.__name__ for kind in allowed)
                played.check(False, f"{what} raised {type(error).__name__}({str(error)!r}) where only {names} may leave it")
        played.check(raised, "nothing was raised, so the connection was not cut and nothing was proved")
    finally:
        await _close(events)
        await _close(venue)


# order in time


@_promise()
async def _events_come_in_an_order_that_makes_sense(stage: _Stage) -> None:
    """Nothing is said of an order before it was sent, no rest fills before it was accepted, and prices come in order of time."""
    for played in await stage.every_scene():
        _check_sent_first(played)
        for order_id in played.sent:
            said = played.said_of(order_id)
            kinds = [type(event) for event in said]
            if Accepted in kinds:
                first = kinds.index(Accepted)
                played.check(not first, f"{order_id} was Accepted after {_word(said[0])}")
            elif any(isinstance(event, Fill) and event.liquidity is Liquidity.MAKER for event in said):
                played.check(False, f"{order_id} rested and was filled, but was never Accepted: {_list(said)}")
            if Rejected in kinds:
                played.check(Fill not in kinds, f"{order_id} was Rejected, and filled: {_list(said)}")
            if Canceled in kinds:
                behind = said[kinds.index(Canceled) + 1 :]
                played.check(all(isinstance(event, Fill) for event in behind), f"{order_id} was Canceled, and then: {_list(behind)}")
        prices = [event.at for event in played.told if isinstance(event, Quote)]
        played.check(prices == sorted(prices), "prices were told out of order")


@_promise()
async def _the_times_of_an_order_never_run_backwards(stage: _Stage) -> None:
    """What is told of an order is in order of time and after it was sent; only a fill from before a cancel may be told after it."""
    for scene in _scenes(stage):
        if scene.script.name != _RACED_ACROSS:  # has a promise of its own
            _check_times(await stage.play(scene))


@_promise(Feature.RESTING, Feature.PARTIAL)
async def _a_cancel_is_not_of_an_earlier_time_than_a_fill_before_it(stage: _Stage) -> None:
    """A cancel that was asked for when the order had filled in part, untold as yet, is of no earlier time than that part."""
    played = await stage.play(_raced_across(stage))
    far = list(played.scene.orders.values())[2]
    played.check(
        0 < played.filled(far) < far.place.qty, f"{far.id} was filled with {played.filled(far)} units, not in part: nothing was proved"
    )
    _check_times(played)


@_promise(Feature.FUNDING, kind="perp")
async def _an_order_never_fills_in_the_past(stage: _Stage) -> None:
    """An order that is sent in the middle of a row, when funding is told, fills at no earlier time."""
    scene = stage.scene("an order sent between two prices", (0, 1, (2, 300, 1, 290), 295, 300, 298), funding={2: 100_003})
    order = scene.draft(2, Place(stage.market, Side.BUY, stage.qty))
    due = scene.script.funding[0].at
    order = evolve(order, at=due)
    scene.answers = lambda event: [SubmitOrder(order)] if isinstance(event, FundingPaid) else ()
    played = await stage.play(scene)
    fills = played.fills_of(order)
    played.check(fills, f"{order.id} was sent when funding was told, and never filled: nothing was proved")
    for fill in fills:
        late = (order.at - fill.at) / SECOND
        played.check(fill.at >= order.at, f"{_told(fill)} happened {late:g} s before the order was sent")


def _check_times(played: _Played) -> None:
    for order_id in played.sent:
        for fill in played.fills_of(order_id):
            order = played.scene.orders[order_id]
            played.check(fill.at >= order.at, f"{_told(fill)} happened {(order.at - fill.at) / SECOND:g} s before the order was sent")
        for before, after in pairwise(played.said_of(order_id)):
            late = isinstance(after, Fill) and isinstance(before, Canceled)
            played.check(late or after.at >= before.at, f"{_word(after)} was told after {_word(before)}, but is of an earlier time")


def _check_sent_first(played: _Played) -> None:
    for number, event in enumerate(played.told):
        if isinstance(event, (Accepted, Fill, Canceled, Rejected)):
            since = min(played.sent.get(event.order_id, len(played.told)), played.cancels.get(event.order_id, len(played.told)))
            played.check(number >= since, f"{_word(event)} was told before its order was sent")


# the money


@_promise()
async def _balances_are_what_the_events_said(stage: _Stage) -> None:
    """The account's coins are what they were plus what the events said, unit for unit, and nothing else."""
    for played in await stage.every_scene():
        for pause in played.pauses:
            found = played.folded(pause.told).differ(pause.balances)
            played.check(not found, f"after {_rows(pause)}, {'; '.join(found)}")


@_promise(kind="perp")
async def _positions_are_what_the_events_said(stage: _Stage) -> None:
    """The account's contracts, and the money side of them, are what the events said, unit for unit."""
    for played in await stage.every_scene():
        played.check(_facts(played, Fill) or not played.pauses[-1].positions, "contracts are held that no fill brought")
        for pause in played.pauses:
            folded = played.folded(pause.told)
            found = folded.differ(folded.coins, pause.positions)
            played.check(not found, f"after {_rows(pause)}, {'; '.join(found)}")


def _rows(pause: _Pause) -> str:
    return f"{pause.row + 1} row(s) and {pause.told} events"


# where it is offered


@_promise(Feature.RESTING, Feature.POST_ONLY)
async def _post_only_never_takes(stage: _Stage) -> None:
    """A post-only order is refused rather than taking liquidity; otherwise it rests and fills as maker."""
    played = await stage.play(_post_only(stage))
    taking, resting = played.scene.orders.values()
    for fill in played.fills:
        played.check(fill.liquidity is Liquidity.MAKER, f"{_told(fill)} took liquidity")
    off = any(isinstance(event, (Rejected, Canceled)) for event in played.said_of(taking))
    played.check(
        off or played.filled(taking), f"{taking.id} would take, and was neither refused nor moved: {_list(played.said_of(taking))}"
    )
    played.check(played.filled(resting), f"{resting.id} was passed through by the market and never filled: nothing was proved")


@_promise(Feature.REDUCE_ONLY)
async def _reduce_only_never_opens(stage: _Stage) -> None:
    """A reduce-only order never opens, turns or grows a position."""
    played = await stage.play(_reduce_only(stage))
    held, reduced = 0, 0
    for fill in played.fills:
        order = played.scene.orders[fill.order_id]
        after = held + fill.side.sign * fill.qty
        if order.place.reduce_only:
            shrinks = abs(after) < abs(held) and after * held >= 0
            played.check(shrinks, f"{_told(fill)} took the position from {held} to {_word(after)}, though {order.id} only reduces")
            reduced += fill.qty
        held = after
    played.check(reduced, "no reduce-only order was filled, so nothing was proved")
    if stage.perp:
        played.check(held == 0, f"what was sold reduce-only was more than was held, and {held} units are left")


@_promise(Feature.FUNDING, kind="perp")
async def _positive_funding_goes_from_long_to_short(stage: _Stage) -> None:
    """At a rate above zero a long pays and a short receives, at one below zero the other way round, rounded against us."""
    played = await stage.play(_funded(stage))
    paid = [fact for fact in _facts(played, FundingPaid) if fact.qty]
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


@_promise(Feature.FUNDING, kind="perp")
async def _funding_is_paid_on_what_is_held(stage: _Stage) -> None:
    """Funding is paid on the position of that instant, each rate once, and without one nothing moves."""
    played = await stage.play(_funded(stage))
    folded, paid = Folded(played.script.balances), 0
    for event in played.told:
        if isinstance(event, FundingPaid):
            held = folded.position(event.instrument).qty
            played.check(event.qty == held, f"{_word(event)} was paid on {event.qty} units, where {held} were held")
            played.check(held or not event.amount, f"{_word(event)} moved {event.amount} units, where nothing was held")
            paid += bool(held)
        folded.take(event)
    played.check(paid == 4, f"funding fell due four times with contracts held, and was told {paid} times")


@_promise(kind="perp")
async def _settling_changes_no_equity(stage: _Stage) -> None:
    """`Settled` moves unsettled profit or loss to cash: what cash gains the contracts' money side loses."""
    played = await stage.play(_settled(stage))
    settled = _facts(played, Settled)
    played.check(settled, "a gain and a loss were realized, and nothing was ever Settled")
    code = stage.market.quote.code
    made, said = played.folded(), played.pauses[-1]
    have = said.balances.get(code, stage.market.quote.zero).units + _figures(said.positions.get(stage.market.symbol))[1]
    should = made.coins[code].units + made.position(stage.market).money
    played.check(have == should, f"cash and unsettled money come to {have} units, where what was told makes {should}")


@_promise(Feature.SETTLES, kind="perp")
async def _what_is_unsettled_waits_until_it_is_asked_for(stage: _Stage) -> None:
    """`settle` moves all that is realized to cash; with nothing left it says that it moved nothing, by a `Settled` of 0."""
    played = await stage.play(_settled(stage))
    settled = _facts(played, Settled)
    told = ", ".join(str(fact.amount) for fact in settled) or "nothing"
    played.check(len(settled) == 3, f"settle was asked three times, each is answered; what was Settled is: {told}")
    played.check(not settled[2].amount, f"nothing was left for the third; what was Settled is: {told}")
    played.check(settled[0].amount > 0 > settled[1].amount, f"a gain was settled and then a loss; what was Settled is: {told}")
    left = played.folded().position(stage.market)
    played.check(not left.qty and not left.money, f"all was closed and settled, and {_shown(left)} are left")


@_promise(Feature.TRANSFERS)
async def _a_transfer_moves_what_was_asked(stage: _Stage) -> None:
    """A transfer moves its very amount, or is refused with a reason and moves nothing."""
    played = await stage.play(_transfers(stage))
    for transfer, _ in played.asked.values():
        answers = _answers(played, transfer.id)
        played.check(answers, f"{transfer.id} was never answered")
        for answer in answers:
            if isinstance(answer, Transferred):
                played.check(answer.amount == transfer.amount, f"{transfer.id} was for {transfer.amount}, and {answer.amount} moved")
            else:
                played.check(answer.reason, f"{transfer.id} was refused without a reason")
    moved = {fact.id for fact in _facts(played, Transferred)}
    for name in ("suite-transfer-in", "suite-transfer-out"):
        played.check(name in moved, f"{name} was within what is there, and refused: {_list(_answers(played, name))}")


@_promise(Feature.TRANSFERS)
async def _a_transfer_beyond_what_is_there_is_refused(stage: _Stage) -> None:
    """No more comes in than the wallet holds, and no more goes out than the account has."""
    played = await stage.play(_transfers(stage))
    for name in ("suite-transfer-beyond-the-wallet", "suite-transfer-beyond-the-account"):
        answers = _answers(played, name)
        refused = answers and all(isinstance(answer, TransferRefused) for answer in answers)
        played.check(refused, f"{name} asked for more than there is, and was answered with: {_list(answers)}")


@_promise(Feature.TRANSFERS, Feature.HEALTH, kind="perp")
async def _a_withdrawal_leaves_the_account_healthy(stage: _Stage) -> None:
    """A withdrawal that would leave health below 80 is refused, and one that leaves it above is not."""
    played = await stage.play(_healthy(stage))
    played.check(played.folded().position(stage.market).qty, "no contracts were open, so nothing was proved")
    small, large = (_answers(played, f"suite-transfer-{name}") for name in ("small", "large"))
    played.check(small and isinstance(small[0], Transferred), f"a withdrawal that leaves health at 88 was answered with: {_list(small)}")
    played.check(
        large and isinstance(large[0], TransferRefused), f"a withdrawal that leaves health at 75 was answered with: {_list(large)}"
    )


@_promise(Feature.LIQUIDATION, kind="perp")
async def _a_liquidation_only_closes(stage: _Stage) -> None:
    """A liquidation closes contracts and never opens or turns any, for a fee that is not negative."""
    for side, name in ((Side.BUY, "a long is liquidated"), (Side.SELL, "a short is liquidated")):
        played = await stage.play(_crash(stage, side, name, gap=False))
        folded, parts = Folded(played.script.balances), 0
        for event in played.told:
            if isinstance(event, Liquidated):
                parts += 1
                held = folded.position(event.instrument).qty
                closes = held * event.change < 0 and abs(event.change) <= abs(held)
                played.check(closes, f"{_word(event)} changed a position of {held} units by {event.change}")
                played.check(event.fee.units >= 0, f"{_word(event)} paid a fee of {event.fee}")
            folded.take(event)
        played.check(parts, "the market went further than the account can bear, and nothing was Liquidated")


@_promise(Feature.LIQUIDATION, kind="perp")
async def _a_bankrupt_account_begins_at_nothing(stage: _Stage) -> None:
    """After `Bankrupted` the account holds no contracts, and its cash and unsettled money come to nothing."""
    for side, name in ((Side.BUY, "a long is bankrupted"), (Side.SELL, "a short is bankrupted")):
        played = await stage.play(_crash(stage, side, name, gap=True))
        played.check(_facts(played, Bankrupted), "the market gapped beyond what the account had, and nothing was Bankrupted")
        said, quote = played.pauses[-1], stage.market.quote
        qty, money = _figures(said.positions.get(stage.market.symbol))
        worth = said.balances.get(quote.code, quote.zero).units + money
        played.check(not qty and not worth, f"{qty} contracts and {worth} units of {quote} are left of a bankrupt account")


# the whole


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


@_promise()
async def _a_desk_balances_on_it(stage: _Stage) -> None:
    """A desk that trades through `live.trade` proves at the end that its books are what the venue holds."""
    path = (0, 1, 2, (1, 3, -80, -2), 1, (2, 90, -5, 3), 1, 2, 0, -1, 2, 3, 1, 2)
    scene = stage.scene("a desk", path, funding={3: 100_003, 9: 100_003} if stage.has(Feature.FUNDING) else None)
    played = _Played(scene, await stage.open(scene))
    cash = scene.script.balances[stage.market.quote.code]
    vault = CoreVault(cash.asset, total=cash, tradeable=cash)
    desk = Desk(vault)
    limits = (stage.level(-40), stage.level(60)) if stage.has(Feature.RESTING) else None
    desk.assign(_InAndOut(stage.market, stage.qty, limits), to=vault.sleeve("suite", QUIET, allocate=cash))
    try:
        await stage._wait(played, "live.trade", lambda: trade(desk, played.venue))
        balances, positions = await stage.holds(played)
    finally:
        await _close(played.venue)
    played.check(desk.books.facts, "no fill was booked, so nothing was proved")
    proof = desk.check(balances, positions=positions, deep=True)
    played.check(proof.holds, f"the proof does not hold:\n{proof}")


def _facts(played: _Played, *kinds: type[Any]) -> list[Any]:
    """All events of these kinds, each once."""
    found: list[Any] = []
    for event in played.told:
        if isinstance(event, kinds) and event not in found:
            found.append(event)
    return found


def _answers(played: _Played, transfer_id: str) -> list[Transferred | TransferRefused]:
    return [event for event in played.told if isinstance(event, (Transferred, TransferRefused)) and event.id == transfer_id]


def _word(event: object) -> str:
    """An event as a sentence shows it: instruments by their symbol, times in seconds since the script began."""
    if isinstance(event, FundingRate):
        return f"{event.rate_ppb} ppb"
    kind: Any = type(event)
    if not has(kind):
        return str(event)
    words = [kind.__name__]
    for one in fields(kind):
        value = getattr(event, one.name)
        if one.name == "at":
            words.append(f"at {(value - BEGIN) / SECOND:g} s")
        elif one.name not in ("key", "instrument", "venue") and value != "":
            words.append(f"{one.name} {_word(value) if isinstance(value, FundingRate) else value}")
    return " ".join(words)


def _list(events: Iterable[object]) -> str:
    return "; ".join(map(_word, events)) or "nothing"


PROMISES: tuple[Promise, ...] = tuple(_promises)
"""Every promise that the suite puts to the test, in its order."""


# -- putting a venue to the test -----------------------------------------------------------------------------------------------


@frozen(order=False)
class Verdict:
    """How one promise fared on one market: `holds`, `broken` with what was seen, or `passed over` with why."""

    promise: str
    market: str
    result: str
    said: str = ""

    def __str__(self) -> str:
        return f"{self.result:11} {self.market}: {self.promise.replace('_', ' ')}" + (f"\n            {self.said}" if self.said else "")


@frozen(order=False)
class Audit:
    """What a venue's audit found. Printed, it has a line for each promise on each market."""

    verdicts: tuple[Verdict, ...]

    @property
    def holds(self) -> bool:
        """Whether no promise was broken; one that was passed over breaks nothing."""
        return not self.broken

    @property
    def broken(self) -> tuple[Verdict, ...]:
        return tuple(verdict for verdict in self.verdicts if verdict.result == "broken")

    def __str__(self) -> str:
        return "\n".join(map(str, self.verdicts))


async def audit(make_venue: MakeVenue, offer: Offer, *names: str) -> Audit:
    """Put a venue to the test without pytest: every promise, or those named, on each market that is offered.

    A broken promise is a line of the audit and not an exception. Raises `ValueError` for a name that no promise has.
    """
    unknown = sorted(set(names) - {promise.name for promise in PROMISES})
    if unknown:
        raise ValueError(f"no promise is named {', '.join(unknown)}")
    verdicts = []
    for promise in PROMISES:
        for market in offer.markets if not names or promise.name in names else ():
            reason = promise.passed_over(offer, market)
            if reason:
                verdicts.append(Verdict(promise.name, market.symbol, "passed over", reason))
                continue
            try:
                await promise.keep(make_venue, offer, market)
            except PromiseBroken as error:
                verdicts.append(Verdict(promise.name, market.symbol, "broken", str(error)))
            else:
                verdicts.append(Verdict(promise.name, market.symbol, "holds"))
    return Audit(tuple(verdicts))


def venue_suite(make_venue: MakeVenue, offer: Offer) -> type[Any]:
    """A class of tests, one for each promise, to derive a test class from. Needs pytest, and runs through anyio's plugin.

    Each test runs on each market offered, and on asyncio and trio, where it is installed: a fixture `anyio_backend` of
    one's own narrows that. A promise about what is not offered is skipped with the reason.
    """
    import pytest

    tests: dict[str, Any] = {
        "__doc__": "The promises of `sleeves.protocols.Venue`.",
        "pytestmark": [pytest.mark.anyio],
        "market": pytest.fixture(params=offer.markets, ids=[market.symbol for market in offer.markets])(_given),
    }
    for promise in PROMISES:
        tests[f"test_{promise.name}"] = _test(promise, make_venue, offer, pytest.skip)
    return type("VenueSuite", (), tests)


def _given(self: object, request: Any) -> Any:  # noqa: ARG001 a method of the suite
    return request.param


def _test(promise: Promise, make_venue: MakeVenue, offer: Offer, skip: Callable[[str], object]) -> Callable[..., Awaitable[None]]:
    async def test(self: object, market: Instrument) -> None:  # noqa: ARG001 a method of the suite
        __tracebackhide__ = True
        reason = promise.passed_over(offer, market)
        if reason:
            skip(reason)
        await promise.keep(make_venue, offer, market)

    test.__name__ = test.__qualname__ = f"test_{promise.name}"
    test.__doc__ = promise.says
    return test
