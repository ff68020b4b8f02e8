"""The async shell: orders go where they belong, a venue that fails costs no money, and a stopped run leaves sound books."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from functools import partial

import anyio
import anyio.lowlevel
import pytest
from attrs import frozen

from sleeves import BTC, ETH, FLASH, QUIET, USD, Amount, CoreVault, Desk, Instrument
from sleeves.errors import VaultError, VenueError, VenueUnavailable, VenueUnknown
from sleeves.ledger import Account, Role
from sleeves.live import trade
from sleeves.market import SECOND, Quote
from sleeves.money import Rounding
from sleeves.orders import Accepted, Cancel, Canceled, Event, Fill, Intent, Liquidity, Order, OrderStatus, Place, Side
from sleeves.protocols import View
from sleeves.records import Marked, OrderUpdate, Placed

BITCOIN = Instrument("BTC/USD", base=BTC, quote=USD, tick="0.01", lot="0.00001", venue="kraken")
ETHER = Instrument("ETH/USD", base=ETH, quote=USD, tick="0.01", lot="0.0001", venue="drift")
NOWHERE = Instrument("BTC/USD", base=BTC, quote=USD, tick="0.01", lot="0.00001")

both = pytest.mark.parametrize("backend", ["asyncio", "trio"])


class Wire:
    """A venue in a few lines: it says its prices, one a second, and fills at each what was sent before it.

    `raises` holds what `submit` raises for an order by its id, once it has been sent or not; `cancel_raises` the same.
    """

    lockstep = True
    real_money = False

    def __init__(self, name: str, market: Instrument, prices: Sequence[int], **raises: VenueError) -> None:
        self.name = name
        self.market = market
        self.prices = prices
        self.raises = {order_id.replace("_", "-"): error for order_id, error in raises.items()}
        self.cancel_raises: dict[str, VenueError] = {}
        self.sent: list[Order] = []
        self.canceled: list[str] = []
        self.on_submit: Callable[[Order], None] = lambda order: None
        self.waiting: list[Event] = []
        self.resting = False
        self.closed = False
        self.now = 0

    async def events(self) -> AsyncIterator[Event]:
        try:
            for price in self.prices:
                self.now += SECOND
                for event in [*self.waiting]:
                    self.waiting.remove(event)
                    yield event
                yield Quote(self.market, self.now, price, price)
                await anyio.lowlevel.checkpoint()
        finally:
            self.closed = True

    def fill(self, order: Order) -> Fill:
        place, price = order.place, self.prices[0]
        cost = place.instrument.cost(price, place.qty, Rounding.CEIL)
        no_fee = place.instrument.quote.zero
        trade_id = f"{self.name}-{len(self.sent)}"
        return Fill(order.id, self.now, place.instrument, place.side, place.qty, price, cost, no_fee, Liquidity.TAKER, trade_id, self.name)

    async def submit(self, order: Order) -> None:
        await anyio.lowlevel.checkpoint()
        self.sent.append(order)
        self.on_submit(order)
        if order.id in self.raises:
            raise self.raises[order.id]
        self.waiting.append(Accepted(order.id, self.now) if self.resting else self.fill(order))

    async def cancel(self, order: Order) -> None:
        await anyio.lowlevel.checkpoint()
        self.canceled.append(order.id)
        if order.id in self.cancel_raises:
            raise self.cancel_raises[order.id]
        self.waiting.append(Canceled(order.id, self.now))

    async def balances(self) -> Mapping[str, Amount]:
        return {}


@frozen
class Buyer:
    """Buys so much of a market at its first `times` decisions; cancels what is open when `cancels` says so."""

    watches: tuple[Instrument, ...]
    buys: Instrument
    times: int = 1
    cancels: bool = False
    name: str = "buyer"
    every: int = 0

    def begin(self) -> list[int]:
        return [0]

    def decide(self, memory: list[int], view: View) -> Iterable[Intent] | None:
        if self.cancels and view.orders():
            return [Cancel(order.id) for order in view.orders()]
        if memory[0] == self.times or view.book_of(self.buys) is None:
            return None
        memory[0] += 1
        return [Place(self.buys, Side.BUY, self.buys.qty("0.01"))]


def desk_of(**engines: Buyer) -> Desk:
    vault = CoreVault(USD, total="20000", tradeable="10000")
    desk = Desk(vault)
    for name, engine in engines.items():
        desk.assign(engine, to=vault.sleeve(name, FLASH if name == "flash" else QUIET, allocate="3000"))
    return desk


def held(desk: Desk, order_id: str) -> Amount:
    return desk.books.ledger.balance(Account(order_id.rpartition("-")[0], Role.HELD, order_id), USD)


def updates(desk: Desk) -> list[tuple[str, str]]:
    return [(record.order_id, record.status.value) for record in desk.books.journal if isinstance(record, OrderUpdate)]


def fills(desk: Desk) -> list[str]:
    return [record.order_id for record in desk.books.journal if isinstance(record, Fill)]


BTC_PRICE, ETH_PRICE = BITCOIN.price("20000"), ETHER.price("1000")


# -- where orders go -------------------------------------------------------------------------------------------------------


@both
def test_an_order_goes_to_the_venue_that_its_instrument_names(backend: str) -> None:
    """Also when the price that it follows from came from the other one."""
    kraken, drift = Wire("kraken", BITCOIN, [BTC_PRICE] * 5), Wire("drift", ETHER, [ETH_PRICE] * 5)
    desk = desk_of(one=Buyer((BITCOIN,), BITCOIN), two=Buyer((ETHER,), ETHER), cross=Buyer((BITCOIN,), ETHER))
    anyio.run(trade, desk, kraken, drift, backend=backend)
    assert [order.sleeve for order in kraken.sent] == ["one"]
    assert sorted(order.sleeve for order in drift.sent) == ["cross", "two"]
    assert sorted(fills(desk)) == ["cross-1", "one-1", "two-1"]
    sleeves = desk.treasury["USD"].sleeves
    assert sleeves["one"].position(BITCOIN) == BTC("0.01")
    assert sleeves["cross"].position(ETHER) == sleeves["two"].position(ETHER) == ETH("0.01")
    assert desk.check(deep=True).holds


@both
@pytest.mark.parametrize("market", [NOWHERE, BITCOIN])
def test_a_single_venue_takes_every_order(backend: str, market: Instrument) -> None:
    """Whatever its name, and whether or not the instrument names one: paper stands in for any venue."""
    wire = Wire("paper", market, [BTC_PRICE] * 3)
    desk = desk_of(one=Buyer((market,), market))
    anyio.run(trade, desk, wire, backend=backend)
    assert [order.id for order in wire.sent] == fills(desk) == ["one-1"]


@both
def test_an_instrument_that_names_no_venue_is_traded_where_its_price_came_from(backend: str) -> None:
    first, second = Wire("first", NOWHERE, [BTC_PRICE] * 3), Wire("second", ETHER, [ETH_PRICE] * 3)
    desk = desk_of(one=Buyer((NOWHERE,), NOWHERE))
    anyio.run(trade, desk, second, first, backend=backend)
    assert [order.id for order in first.sent] == ["one-1"]
    assert second.sent == []


@both
@pytest.mark.parametrize("names", [(), ("kraken", "kraken"), ("kraken", "drift", "kraken")])
def test_venues_need_names_of_their_own(backend: str, names: tuple[str, ...]) -> None:
    desk = desk_of(one=Buyer((BITCOIN,), BITCOIN))
    wires = [Wire(name, BITCOIN, [BTC_PRICE]) for name in names]
    records = len(desk.books.journal)
    with pytest.raises(VaultError, match="its own name"):
        anyio.run(trade, desk, *wires, backend=backend)
    assert len(desk.books.journal) == records
    assert not any(wire.sent for wire in wires)


# -- what is written when --------------------------------------------------------------------------------------------------


@both
def test_an_order_is_journaled_and_held_before_it_leaves_the_house(backend: str) -> None:
    wire = Wire("kraken", BITCOIN, [BTC_PRICE] * 4)
    desk = desk_of(one=Buyer((BITCOIN,), BITCOIN, times=2))
    found: list[tuple[bool, bool]] = []

    def look(order: Order) -> None:
        placed = any(isinstance(record, Placed) and record.order == order for record in desk.books.journal)
        found.append((placed, held(desk, order.id) > USD.zero))

    wire.on_submit = look
    anyio.run(trade, desk, wire, backend=backend)
    assert found == [(True, True)] * 2
    assert [order.id for order in wire.sent] == ["one-1", "one-2"]


@both
def test_a_run_ends_when_every_venue_has_ended_and_with_a_mark(backend: str) -> None:
    short, long = Wire("kraken", BITCOIN, [BTC_PRICE]), Wire("drift", ETHER, [ETH_PRICE] * 20)
    desk = desk_of(one=Buyer((BITCOIN,), BITCOIN))
    anyio.run(trade, desk, short, long, backend=backend)
    assert short.closed
    assert long.closed
    last = list(desk.books.journal)[-1]
    assert isinstance(last, Marked)
    assert last.at == 20 * SECOND
    assert last.prices == {"BTC/USD": (BTC_PRICE, SECOND), "ETH/USD": (ETH_PRICE, 20 * SECOND)}


@both
def test_a_run_in_which_nobody_says_anything_writes_nothing(backend: str) -> None:
    desk = desk_of(one=Buyer((BITCOIN,), BITCOIN))
    anyio.run(trade, desk, Wire("kraken", BITCOIN, [BTC_PRICE] * 3), backend=backend)
    records = len(desk.books.journal)
    anyio.run(trade, desk, Wire("kraken", BITCOIN, []), backend=backend)
    assert len(desk.books.journal) == records


# -- a venue that fails ----------------------------------------------------------------------------------------------------


@both
def test_an_order_that_never_reached_the_venue_frees_its_money_and_the_next_one_is_another(
    backend: str, caplog: pytest.LogCaptureFixture
) -> None:
    wire = Wire("kraken", BITCOIN, [BTC_PRICE] * 4, one_1=VenueUnavailable("no route"))
    desk = desk_of(one=Buyer((BITCOIN,), BITCOIN, times=2))
    with caplog.at_level(logging.WARNING, "sleeves.live"):
        anyio.run(trade, desk, wire, backend=backend)
    assert updates(desk) == [("one-1", "rejected")]
    assert held(desk, "one-1") == USD.zero
    assert [order.id for order in wire.sent] == ["one-1", "one-2"]
    assert fills(desk) == ["one-2"]
    assert desk.treasury["USD"].sleeves["one"].free == USD("2800")
    assert desk.check(deep=True).holds
    (record,) = [one for one in caplog.records if one.name == "sleeves.live"]
    assert "kraken was not reached: no route" in record.getMessage()
    assert record.__dict__["order_id"] == "one-1"


@both
def test_an_order_whose_answer_was_lost_keeps_its_money_and_is_not_sent_again(backend: str) -> None:
    wire = Wire("kraken", BITCOIN, [BTC_PRICE] * 6, one_1=VenueUnknown("timed out"))
    desk = desk_of(one=Buyer((BITCOIN,), BITCOIN))
    anyio.run(trade, desk, wire, backend=backend)
    assert [order.id for order in wire.sent] == ["one-1"]
    assert updates(desk) == [("one-1", "unknown")]
    assert held(desk, "one-1") > USD("200")
    assert desk.check(deep=True).holds


@both
@pytest.mark.parametrize("became", ["filled", "canceled", "rejected late"])
def test_what_became_of_it_is_booked_when_the_venue_tells(backend: str, became: str) -> None:
    wire = Wire("kraken", BITCOIN, [BTC_PRICE] * 4, one_1=VenueUnknown("timed out"))
    desk = desk_of(one=Buyer((BITCOIN,), BITCOIN))

    def later(order: Order) -> None:
        wire.waiting.append(wire.fill(order) if became == "filled" else Canceled(order.id, wire.now, became))

    wire.on_submit = later
    anyio.run(trade, desk, wire, backend=backend)
    assert held(desk, "one-1") == USD.zero
    sleeve = desk.treasury["USD"].sleeves["one"]
    assert sleeve.position(BITCOIN) == (BTC("0.01") if became == "filled" else BTC.zero)
    assert sleeve.balance == USD("3000")
    assert desk.check(deep=True).holds


@both
@pytest.mark.parametrize("error", [VenueUnavailable("no route"), VenueUnknown("timed out")])
def test_a_cancel_that_fails_leaves_the_order_open_and_its_money_held(backend: str, error: VenueError) -> None:
    """It may still fill; the engine asks again."""
    wire = Wire("kraken", BITCOIN, [BTC_PRICE] * 4)
    wire.resting = True
    wire.cancel_raises["one-1"] = error
    desk = desk_of(one=Buyer((BITCOIN,), BITCOIN, cancels=True))
    anyio.run(trade, desk, wire, backend=backend)
    unanswered = [("one-1", "unknown")] if isinstance(error, VenueUnknown) else []
    assert updates(desk) == [("one-1", "open"), *unanswered]
    assert wire.canceled == ["one-1"] * 3
    assert held(desk, "one-1") > USD("200")
    assert desk.check(deep=True).holds


@both
def test_a_cancel_that_works_frees_the_money(backend: str) -> None:
    wire = Wire("kraken", BITCOIN, [BTC_PRICE] * 4)
    wire.resting = True
    desk = desk_of(one=Buyer((BITCOIN,), BITCOIN, cancels=True))
    anyio.run(trade, desk, wire, backend=backend)
    assert updates(desk) == [("one-1", OrderStatus.OPEN), ("one-1", OrderStatus.CANCELED)]
    assert desk.treasury["USD"].sleeves["one"].free == USD("3000")


@both
def test_one_venues_failure_does_not_touch_the_other_venues_sleeves(backend: str) -> None:
    kraken = Wire("kraken", BITCOIN, [BTC_PRICE] * 5, one_1=VenueUnknown("?"), one_2=VenueUnavailable("?"))
    drift = Wire("drift", ETHER, [ETH_PRICE] * 5)
    desk = desk_of(one=Buyer((BITCOIN,), BITCOIN, times=2), two=Buyer((ETHER,), ETHER, times=2))
    anyio.run(trade, desk, kraken, drift, backend=backend)
    assert fills(desk) == ["two-1", "two-2"]
    assert desk.treasury["USD"].sleeves["two"].position(ETHER) == ETH("0.02")
    assert desk.treasury["USD"].sleeves["one"].free < USD("3000")
    assert desk.check(deep=True).holds


class Broken(Wire):
    """Its connection is lost after the first price."""

    async def events(self) -> AsyncIterator[Event]:
        yield Quote(self.market, SECOND, self.prices[0], self.prices[0])
        raise VenueUnavailable("the connection is lost for good") from OSError("reset by peer")


unforgiving = partial(trade, reconnect=None)


@both
def test_a_feed_that_is_lost_for_good_is_what_the_caller_gets(backend: str) -> None:
    """Without `reconnect` trade raises what `Feed.events` raises: a caller catches it by that name."""
    desk = desk_of(one=Buyer((BITCOIN,), BITCOIN))
    with pytest.raises(VenueUnavailable, match="lost for good"):
        anyio.run(unforgiving, desk, Broken("kraken", BITCOIN, [BTC_PRICE]), backend=backend)
    assert desk.check(deep=True).holds


@both
def test_and_with_it_comes_what_caused_it(backend: str) -> None:
    with pytest.raises(VenueUnavailable) as error:
        anyio.run(unforgiving, desk_of(one=Buyer((BITCOIN,), BITCOIN)), Broken("kraken", BITCOIN, [BTC_PRICE]), backend=backend)
    assert str(error.value.__cause__) == "reset by peer"


@both
def test_a_feed_that_is_lost_ends_the_run_on_the_other_venues_too(backend: str) -> None:
    desk = desk_of(one=Buyer((BITCOIN,), BITCOIN), two=Buyer((ETHER,), ETHER))
    other = Wire("drift", ETHER, [ETH_PRICE] * 1_000)
    with pytest.raises(VenueUnavailable):
        anyio.run(unforgiving, desk, Broken("kraken", BITCOIN, [BTC_PRICE]), other, backend=backend)
    assert other.closed
    assert other.now < 1_000 * SECOND
    assert desk.check(deep=True).holds


# -- a run that is stopped -------------------------------------------------------------------------------------------------


@both
def test_a_run_that_is_canceled_while_it_sends_an_order_leaves_sound_books(backend: str) -> None:
    """Nobody knows whether the order got out: it is in the journal, and its money stays held."""
    wire = Wire("kraken", BITCOIN, [BTC_PRICE] * 5)
    desk = desk_of(one=Buyer((BITCOIN,), BITCOIN))

    async def main() -> None:
        with anyio.CancelScope() as scope:

            async def stopped(order: Order) -> None:
                wire.sent.append(order)
                scope.cancel()
                await anyio.sleep_forever()

            wire.submit = stopped  # type: ignore[method-assign]
            await trade(desk, wire)
        # not after the garbage collector came by: a feed holds a connection
        assert wire.closed, "trade returned without closing its feed"

    anyio.run(main, backend=backend)
    assert [order.id for order in wire.sent] == ["one-1"]
    assert held(desk, "one-1") > USD("200")
    assert desk.check(deep=True).holds


@both
def test_a_run_that_is_canceled_between_two_prices_leaves_sound_books(backend: str) -> None:
    class Silent(Wire):
        async def events(self) -> AsyncIterator[Event]:
            async for event in super().events():
                yield event
            scopes[0].cancel()
            await anyio.sleep_forever()

    scopes: list[anyio.CancelScope] = []
    desk = desk_of(one=Buyer((BITCOIN,), BITCOIN))

    async def main() -> None:
        with anyio.CancelScope() as scope:
            scopes.append(scope)
            await trade(desk, Silent("kraken", BITCOIN, [BTC_PRICE] * 3))

    anyio.run(main, backend=backend)
    assert fills(desk) == ["one-1"]
    assert desk.check(deep=True).holds


@both
def test_paper_is_opened_as_live_is(backend):
    """The one line that differs between paper and live is the one that makes the venue."""
    from sleeves.engines import Idle
    from sleeves.sim import Tape, VirtualDriver

    tape = Tape.from_columns(BITCOIN, ts=[SECOND], open=["100"], high=["100"], low=["100"], close=["100"], interval=SECOND)

    async def main():
        vault = CoreVault(USD, total="100", tradeable="100")
        desk = Desk(vault)
        desk.assign(Idle(BITCOIN), to=vault.sleeve("quiet", QUIET, allocate="100"))
        async with VirtualDriver(tape, {"USD": USD("100")}) as venue:
            await trade(desk, venue)
            return desk.check(await venue.balances())

    assert anyio.run(main, backend=backend).holds
