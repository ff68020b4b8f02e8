"""One rehearsal: a copy of the desk runs on its paper venues, a switch is thrown, and what follows is noted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrs import evolve

from ...errors import VaultError, VenueError, VenueUnavailable, WrongStatus
from ...facts import CashFlow
from ...market import SECOND, Instrument, Mark, Quote
from ...money import Amount, Rounding, divide
from ...orders import CancelOrder, Command, Event, Fill, Order, OrderReport, OrderStatus, Place, Position, Side, Transfer
from ...records import Alert, Fact, OrderUpdate, Placed, Record, Refusal
from ...recovery import Chase, reconcile
from ...seat import Decide
from ...shell import carry_out, named
from ...sleeve import Sleeve
from ...standings import DESK
from ...status import Hold
from ...vault import CoreVault
from ..faults import Faults, FaultyVenue
from .house import NAME, House, subjects
from .told import OF_VENUES, Act, Left, Rehearsal, Switch

__all__ = ["Stage"]

THROWN_AFTER = SECOND
"""When a switch is thrown, after the copy has begun to run."""
OUTAGE = 10 * SECOND
"""How long a venue that is lost stays lost: `live.trade` looks for it again every ten seconds."""
ASK_EVERY = SECOND
"""How often it is asked after orders of unknown fate and cancels that were not answered."""
RECONCILE_EVERY = 10 * SECOND


class _Wire:
    """A paper venue whose line can be cut: nothing gets through then, and what happens is told by its history later."""

    real_money = False
    lockstep = True

    def __init__(self, venue: FaultyVenue) -> None:
        self.venue = venue
        self.cut: set[str] | None = None
        """The venue names of the instruments that are cut off, "" for those that name none; None while the line is whole."""
        self._orders: dict[str, str] = {}

    @property
    def name(self) -> str:
        return self.venue.name

    def hears(self, event: Event) -> bool:
        """Whether an event gets through."""
        if self.cut is None:
            return True
        market = getattr(event, "instrument", None)
        where = market.venue if isinstance(market, Instrument) else self._orders.get(getattr(event, "order_id", ""), "")
        return where not in self.cut

    def _check(self, where: str | None = None) -> None:
        if self.cut is not None and (where is None or where in self.cut):
            raise VenueUnavailable(f"{self.name}: the line is cut")

    def events(self) -> Any:
        return self.venue.events()

    async def submit(self, order: Order) -> None:
        self._orders[order.id] = order.place.instrument.venue
        self._check(order.place.instrument.venue)
        await self.venue.submit(order)

    async def cancel(self, order: Order) -> None:
        self._check(order.place.instrument.venue)
        await self.venue.cancel(order)

    async def settle(self, instrument: Instrument) -> None:
        self._check(instrument.venue)
        await self.venue.settle(instrument)

    async def transfer(self, transfer: Transfer) -> None:
        self._check()
        await self.venue.transfer(transfer)

    async def look_up(self, order: Order) -> OrderReport | None:
        self._check(order.place.instrument.venue)
        return await self.venue.look_up(order)

    async def open_orders(self) -> Sequence[OrderReport]:
        self._check()
        return await self.venue.open_orders()

    async def balances(self) -> Mapping[str, Amount]:
        self._check()
        return await self.venue.balances()

    async def positions(self) -> Mapping[str, Position]:
        self._check()
        return await self.venue.positions()

    async def history(self, since: int) -> Sequence[Fact]:
        self._check()
        return await self.venue.history(since)

    async def cash_flows(self, since: int) -> Sequence[CashFlow]:
        self._check()
        return await self.venue.cash_flows(since)


class Stage:
    """A copy of the desk and its paper venues, on which one switch is thrown."""

    def __init__(self, house: House, switch: Switch) -> None:
        self.house, self.switch = house, switch
        self.desk = house.copy()
        self.name = switch.target.removeprefix("venue:") if switch.act in OF_VENUES else ""
        """The venue that the switch is of."""
        self.wires = self._wires()
        self.by_name = named(self.wires, "drill")
        self.sleeves = {sleeve.name: sleeve for sleeve in self._concerned()}
        self.now = house.at
        self.thrown: int | None = None
        self.over: int | None = None
        """When new risk may be taken again."""
        self.note = ""
        self.cancels: dict[str, Order] = {}
        """Orders that are to be off the book, by id."""
        self.off: dict[str, int] = {}
        self.closed: int | None = None
        self.flat: int | None = None
        self.new_risk: list[str] = []
        self.refused: dict[str, None] = {}
        self.residuals: list[Alert] = []
        self.asked = 0
        self.marks: Mapping[str, Mark] = {}
        self.before: dict[str, Amount | None] = {}
        self._residuals = set(self.desk.books.residuals)
        self._chase = Chase(self.desk, self.by_name, 60.0)
        self._ask_at = self._look_at = self._try_at = 0
        self._heads: dict[str, Event] = {}
        self._feeds: dict[str, Any] = {wire.name: wire.events() for wire in self.wires}

    def _wires(self) -> list[_Wire]:
        house, desk = self.house, self.desk
        wallets = sorted({vault.wallet for vault in desk.treasury.vaults})
        if len(wallets) == 1:
            return [_Wire(house.venue(desk, wallets[0], list(house.markets), alone=True))]
        found = []
        for wallet in wallets:
            markets = [symbol for vault in desk.treasury.vaults if vault.wallet == wallet for symbol in self._traded(vault)]
            if markets:
                found.append(_Wire(house.venue(desk, wallet, list(dict.fromkeys(markets)), alone=False)))
        return found

    def _traded(self, vault: CoreVault) -> list[str]:
        """The symbols with a price that the sleeves of a vault trade."""
        return [
            market.symbol for sleeve in vault.sleeves.values() for market in self._markets_of(sleeve) if market.symbol in self.house.markets
        ]

    def _markets_of(self, sleeve: Sleeve) -> list[Instrument]:
        seat = self.desk._seats.get(sleeve.name)
        watched = [] if seat is None else [*seat.engine.watches, *(order.place.instrument for order in seat.open_orders.values())]
        return [*watched, *sleeve.positions()]

    def _concerned(self) -> list[Sleeve]:
        desk, target = self.desk, self.switch.target
        every = [sleeve for vault in desk.treasury.vaults for sleeve in vault.sleeves.values()]
        if self.name:
            return [one for one in every if one.name in desk._seats and any(map(self._is_there, self._markets_of(one)))]
        return [one for one in every if target in (DESK, one.name, one.vault.owner)]

    def _is_there(self, market: Instrument) -> bool:
        """Whether orders of an instrument may go to the venue that the switch is of, if it is of one."""
        return not self.name or market.venue in ("", self.name)

    @property
    def _subject(self) -> Any:
        """What the switch is of, at this copy."""
        if self.name:
            return self.name
        return self.desk if self.switch.target == DESK else subjects(self.desk)[self.switch.target]

    # -- the run -----------------------------------------------------------------------------------------------------------

    async def run(self) -> Rehearsal:
        desk = self.desk
        desk.wrap(self._counted)
        desk.books.listen(self._note)
        if self.switch.act is Act.DISARM:
            self._arm()
        while (heard := await self._next()) is not None:
            wire, event = heard
            self.now = max(self.now, event.at) if isinstance(event, Quote) else self.now
            if wire.hears(event):
                await carry_out(desk, desk.step(event), wire, self.by_name)
            if self.thrown is not None:
                await self._beside(self.thrown)
            elif self.now >= self.house.at + THROWN_AFTER:
                await self._throw()
        self._try()
        found = self._found()
        return evolve(found, exact=await self._settles())

    async def _next(self) -> tuple[_Wire, Event] | None:
        """What is heard next, of all venues; None at the end."""
        for wire in self.wires:
            while wire.name not in self._heads and wire.name in self._feeds:
                try:
                    event = await anext(self._feeds[wire.name], None)
                except VenueUnavailable:
                    self._feeds[wire.name] = wire.events()
                    await self._look()
                    continue
                if event is None:
                    del self._feeds[wire.name]
                else:
                    self._heads[wire.name] = event
        if not self._heads:
            return None
        name = min(self._heads, key=lambda name: getattr(self._heads[name], "at", 0))
        return next(wire for wire in self.wires if wire.name == name), self._heads.pop(name)

    def _arm(self) -> None:
        """A paper venue is armed for more than there is, so that disarming it changes something."""
        desk, most = self.desk, {vault.asset: Amount(10**30, vault.asset) for vault in self.desk.treasury.vaults}
        desk.require_arming(self.name)
        phrase = desk.arming_phrase(self.name, per_hour=most)
        desk.arm(self.name, per_hour=most, confirm_above=most, phrase=phrase, by=NAME)

    async def _throw(self) -> None:
        desk, marks = self.desk, self.desk.marks()
        self.thrown, self.marks = self.now, marks
        self._ask_at = self._try_at = self.now + ASK_EVERY
        self._look_at = self.now + RECONCILE_EVERY
        self.before = {name: self._made(sleeve) for name, sleeve in self.sleeves.items()}
        self.flat = self.now if self._is_flat() else None
        self.cancels = {order.id: order for order in desk.open_orders() if self._must_go(order)}
        try:
            commands = self._do()
        except (VaultError, WrongStatus) as error:
            self.note, commands = str(error), ()
        self.cancels |= {one.order.id: one.order for one in commands if isinstance(one, CancelOrder)}
        await carry_out(desk, commands, self._only, self.by_name)

    def _must_go(self, order: Order) -> bool:
        """Whether an order must be off the book after the switch: each with a kill, else those that take risk where it is stopped."""
        if order.sleeve not in self.sleeves or not self._is_there(order.place.instrument):
            return False
        working = self.desk._blotter.get(order.id)
        return self.switch.act is Act.KILL or (working is not None and not working.closes)

    @property
    def _only(self) -> _Wire | None:
        return self.wires[0] if len(self.wires) == 1 else None

    def _do(self) -> Sequence[Command]:
        desk, subject, why = self.desk, self._subject, "a drill"
        match self.switch.act:
            case Act.STOP:
                return desk.stop(subject, by=NAME, why=why)
            case Act.PAUSE:
                return desk.pause(subject, by=NAME, why=why)
            case Act.KILL:
                return desk.kill(subject, flatten=True, by=NAME, why=why)
            case Act.SYNC:
                return desk.latch(subject, Hold.SYNC, by="live", why=why)
            case Act.DISARM:
                return desk.disarm(subject, by=NAME, why=why)
        for wire in self.wires:
            wire.cut = {self.name, ""}
        return desk.latch(subject, Hold.CONNECTION, by="live", why=why)

    async def _beside(self, thrown: int) -> None:
        """What the live shell does beside its feeds."""
        desk = self.desk
        if self.switch.act is Act.LOST and self.over is None and self.now >= thrown + OUTAGE:
            for wire in self.wires:
                wire.cut = None
            if await self._look():
                desk.lift(self.name, Hold.CONNECTION, by="live", why="a drill")
                self.over = self.now
        whole = all(wire.cut is None for wire in self.wires)
        if whole and self.now >= self._ask_at and (desk.in_doubt or desk.uncanceled):
            self._ask_at = self.now + ASK_EVERY
            await self._chase.once()
        if whole and self.now >= self._look_at and self.house.faults != Faults():
            self._look_at = self.now + RECONCILE_EVERY
            await self._look()
        if self._try_at and self.now >= self._try_at:
            self._try_at = 0
            self._try()

    async def _look(self) -> bool:
        try:
            await reconcile(self.desk, *self.wires, by="live")
        except (VenueError, VaultError):
            return False
        return True

    def _try(self) -> None:
        """Order the least that takes new risk, for each sleeve that must take none: it is not sent, if it passes."""
        if self.over is not None or self.thrown is None or self.note:
            return
        for sleeve in self.sleeves.values():
            if sleeve.name in self.desk._seats:
                for market in dict.fromkeys(filter(self._is_there, self._markets_of(sleeve))):
                    if market.symbol in self.marks and market.quote == sleeve.asset:
                        self._try_one(sleeve, market)
                        break

    def _try_one(self, sleeve: Sleeve, market: Instrument) -> None:
        times, over = market.ratio
        least = divide(market.min_notional_units * over, self.marks[market.symbol].price * times, Rounding.CEIL)
        lots = divide(max(least, market.min_qty_units, market.lot_units), market.lot_units, Rounding.CEIL) + 1
        side = Side.SELL if sleeve.position_units(market) < 0 else Side.BUY
        try:
            answer = self.desk.order(sleeve, Place(market, side, lots * market.lot_units, why="a drill"), by=NAME)
        except WrongStatus:
            self.refused["status halted"] = None
        else:
            if isinstance(answer, Refusal):
                self.refused[f"{answer.gate} {answer.reason}"] = None

    # -- what is seen ------------------------------------------------------------------------------------------------------

    def _counted(self, name: str, decide: Decide) -> Decide:
        def asked(memory: Any, view: Any) -> Any:
            self.asked += self.thrown is not None and name in self.sleeves
            return decide(memory, view)

        return asked

    def _note(self, record: Record) -> None:
        if self.thrown is None:
            return
        if isinstance(record, Placed) and record.order.sleeve in self.sleeves and self._is_there(record.order.place.instrument):
            if not record.closes and self.over is None and not self.note:
                self.new_risk.append(record.order.id)
        elif isinstance(record, OrderUpdate) and record.status is OrderStatus.CANCELED:
            self.off.setdefault(record.order_id, record.at)
        elif isinstance(record, Fill):
            working = self.desk._blotter.find(record.order_id)
            if working is not None and working.order.sleeve in self.sleeves:
                self.closed = max(self.closed or 0, record.at) if working.closes else self.closed
                self.flat = record.at if self._is_flat() else None
        elif isinstance(record, Alert) and record.code == "residual" and record.subject in self.sleeves:
            self.residuals.append(record)

    def _is_flat(self) -> bool:
        return not any(sleeve.positions() for sleeve in self.sleeves.values())

    def _made(self, sleeve: Sleeve) -> Amount | None:
        """What a sleeve has made, at the prices at which the switch was thrown; what its vault took or gave aside."""
        equity = sleeve.equity(self.marks)
        return None if equity is None else equity - Amount(self.desk.books.ledger.net_flow(sleeve.name, sleeve.asset), sleeve.asset)

    def _found(self) -> Rehearsal:
        desk, thrown, kill = self.desk, self.house.at if self.thrown is None else self.thrown, self.switch.act is Act.KILL
        status = {name: desk.status_of(name) for name in self.cancels}
        canceled = [name for name, one in status.items() if one is OrderStatus.CANCELED]
        left_open = [name for name, one in status.items() if not one.done]
        if kill:
            mine = [order.id for order in desk.open_orders() if order.sleeve in self.sleeves]
            left_open = list(dict.fromkeys([*left_open, *mine]))
        flat = self.flat if kill else None
        return Rehearsal(
            self.switch,
            tuple(self.sleeves),
            len(self.cancels),
            len(canceled),
            sum(one is OrderStatus.FILLED for one in status.values()),
            tuple(left_open),
            max((self.off[name] - thrown for name in canceled), default=None) if not left_open else None,
            None if self.closed is None else self.closed - thrown,
            None if flat is None else flat - thrown,
            self._costs() if kill and not self.note else {},
            tuple(self._left()) if kill else (),
            tuple(self.new_risk),
            tuple(self.refused),
            self.asked,
            note=self.note,
        )

    def _costs(self) -> dict[str, Amount | None]:
        costs: dict[str, Amount | None] = {}
        for name, sleeve in self.sleeves.items():
            code, before, after = sleeve.asset.code, self.before[name], self._made(sleeve)
            sum_ = costs.get(code, sleeve.asset.zero)
            costs[code] = None if before is None or after is None or sum_ is None else sum_ + (before - after)
        return costs

    def _left(self) -> Iterator[Left]:
        for name, sleeve in self.sleeves.items():
            for market, amount in sleeve.positions().items():
                least = self._is_least(market, abs(amount.units))
                yield Left(name, market, amount, self._why(name, market, least), least)

    def _is_least(self, market: Instrument, qty: int) -> bool:
        mark = self.desk.marks().get(market.symbol)
        if qty < max(market.lot_units, market.min_qty_units):
            return True
        return mark is not None and market.cost(mark.price, qty, Rounding.FLOOR) < market.min_notional_units

    def _why(self, name: str, market: Instrument, least: bool) -> str:
        seat = self.desk._seats.get(name)
        if self.note:
            return "the switch could not be thrown"
        if seat is None:
            return "no engine sits there, and the desk closes nothing of it"
        if least:
            return "less than the venue's least order"
        if market.symbol not in self.house.markets:
            return "it has no price"
        working = [f"{order.id} is {self.desk.status_of(order.id)}" for order in seat.open_orders.values()]
        said = [alert.text for alert in self.residuals if alert.subject == name and market.symbol in alert.text]
        return "; ".join(working or said[:1]) or f"not closed within {self.house.within / SECOND:g} s"

    async def _settles(self) -> bool:
        """Once nothing fails any more, and all that was late is told: whether the books are the paper account's."""
        desk = self.desk
        for wire in self.wires:
            wire.cut = None
            wire.venue.calm()
            await wire.venue.arrive()
        for _ in range(3):
            for wire in self.wires:
                async for event in wire.events():
                    await carry_out(desk, desk.step(event), wire, self.by_name)
            await self._chase.once()
            if not await self._look():
                return False
        return await self._is_exact()

    async def _is_exact(self) -> bool:
        """Whether the books are what all paper accounts hold together, and nothing stands apart that did not before.

        A wallet that trades nothing has no account, and is not asked. Coins that jump, as a fault, do stand apart.
        """
        desk, asked = self.desk, {wire.name for wire in self.wires}
        coins: dict[str, Amount] = {}
        positions: dict[str, Position] = {}
        for wire in self.wires:
            for code, amount in (await wire.balances()).items():
                coins[code] = coins.get(code, amount.asset.zero) + amount
            for symbol, there in (await wire.positions()).items():
                known = positions.get(symbol, Position(there.instrument, 0, 0))
                positions[symbol] = Position(there.instrument, known.qty + there.qty, known.money + there.money)
        wallets = {vault.wallet for vault in desk.treasury.vaults}
        for wallet in wallets - asked if len(wallets) > 1 else ():
            for asset, units in desk.books.coins(wallet).items():
                coins[asset.code] = coins.get(asset.code, asset.zero) + Amount(units, asset)
        named = self.house.faults.jump or not desk.books.residuals.keys() - self._residuals
        return bool(named) and desk.check(coins, positions=positions).holds
