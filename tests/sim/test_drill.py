"""Drills: what each switch does, told truly, on a copy; the living desk is not touched; and a desk that is broken is caught."""

from __future__ import annotations

import threading
from functools import partial
from itertools import pairwise

import anyio
import pytest
from attrs import evolve

from helpers import BTCUSD, Puppet, fill
from sleeves import BTC, FLASH, QUIET, USD, Books, CoreVault, Desk, Instrument, Place, Side
from sleeves.engines import Trend
from sleeves.errors import VaultError
from sleeves.journals import SQLite
from sleeves.market import MINUTE, SECOND, Kind
from sleeves.orders import Accepted, Bundle, Canceled, SubmitOrder
from sleeves.shell import carry
from sleeves.sim import Fees, Latency, Rules, Slippage, Tape, VirtualDriver, account_of
from sleeves.sim.drill import Act, Drill, Switch, drill
from sleeves.sim.drill.paths import path_of, times_of
from sleeves.sim.faults import Dice, Faults
from sleeves.sim.matcher import Matcher
from sleeves.sim.trial import Trial
from sleeves.status import Hold, Status
from sleeves.stops import Stops
from standing import of_desk, reopened

FREE = Rules(Fees(0, 0), Slippage.none(), latency=Latency(order_ns=SECOND))
"""No fees, no slippage, a second to the venue."""
SHORT, LONG = 5 * SECOND, 15 * SECOND
LOW = BTCUSD.price("9000")
PERP = Instrument("BTC-PERP", base=BTC, quote=USD, tick="0.01", lot="0.0001", min_qty="0.0001", kind=Kind.PERP)


class Eager:
    """It wishes what it is told; when it is `busy`, it also buys whenever it is asked."""

    every = 0

    def __init__(self, market, name):
        self.name, self.watches, self.wishes, self.busy = name, (market,), [], False

    def begin(self):
        return None

    def decide(self, memory, view):
        wishes, self.wishes = self.wishes, []
        market = self.watches[0]
        return wishes or ([Place(market, Side.BUY, market.qty("0.001"))] if self.busy else None)


class Floor:
    """A desk with two sleeves; `one` holds 0.05 BTC and has a buy resting far below, `other` holds nothing."""

    def __init__(self, journal=None):
        books = None if journal is None else Books(journal)
        self.vault = CoreVault(USD, total="10000", tradeable="8000", books=books)
        self.quiet = self.vault.sleeve("quiet", QUIET, allocate="2000")
        self.flash = self.vault.sleeve("flash", FLASH, allocate="2000")
        self.desk = Desk(self.vault)
        self.one, self.other = Eager(BTCUSD, "one"), Eager(BTCUSD, "other")
        self.desk.assign(self.one, to=self.quiet)
        self.desk.assign(self.other, to=self.flash)
        self.holding = self.buy(self.one, "0.05")
        self.desk.step(fill(self.holding.order, price="10000"))
        self.resting = self.buy(self.one, "0.01", limit=LOW)
        self.desk.step(Accepted(self.resting.order.id, self.resting.order.at))

    def quote(self, bid="10000", ask=None):
        bid, ask = BTCUSD.price(bid), BTCUSD.price(ask or bid)
        return self.desk.quote(self.desk.index(BTCUSD), self.desk.books.now + SECOND, bid, ask)

    def wish(self, engine, *wishes):
        engine.wishes = list(wishes)
        return self.quote()

    def buy(self, engine, qty, **kwargs):
        (submit,) = self.wish(engine, Place(BTCUSD, Side.BUY, BTCUSD.qty(qty), **kwargs))
        return submit

    def off(self, submit):
        self.desk.step(Canceled(submit.order.id, self.desk.books.now, "by hand"))

    def drill(self, *tapes, **kwargs) -> Drill:
        return anyio.run(partial(drill, self.desk, *tapes, **({"rules": FREE, "within": LONG} | kwargs)))

    def only(self, act, target, *tapes, **kwargs):
        told = self.drill(*tapes, **({"switches": [Switch(act, target)], "within": SHORT} | kwargs))
        return told.of(act, target)


@pytest.fixture
def floor():
    return Floor()


def bars(*rows, market=BTCUSD, volume=None):
    """A minute tape of (open, high, low, close)."""
    columns = dict(zip(("open", "high", "low", "close"), zip(*rows, strict=True), strict=True))
    return Tape.from_columns(market, ts=[1_600_000_000 + 60 * n for n in range(len(rows))], **columns, volume=volume, interval=MINUTE)


# -- what each switch does -----------------------------------------------------------------------------------------------


def test_every_switch_of_a_sound_desk_does_what_it_is_there_for(floor):
    told = floor.drill()
    assert [str(one.switch) for one in told.rehearsals] == [
        *(f"{act} {name}" for name in ("quiet", "flash") for act in ("stop", "pause", "kill")),
        "pause core:main:USD",
        "kill core:main:USD",
        "pause desk:main",
        "kill desk:main",
        "lost drill",
        "sync drill",
        "disarm drill",
    ]
    assert told.ok, str(told)
    for one in told.rehearsals:
        assert one.exact
        assert one.refused, f"nothing was tried after {one.switch}"
    assert told.at == floor.desk.books.now


def test_engines_that_would_go_on_are_not_asked_after_a_kill_and_get_nothing_after_a_pause(floor):
    floor.one.busy = floor.other.busy = True
    told = floor.drill()
    assert told.ok, str(told)
    assert told.of("kill", floor.desk).asked == 0
    assert told.of("stop", floor.quiet).asked == 0
    assert told.of("pause", floor.desk).asked > 50
    assert told.of("pause", floor.desk).refused == ("status status",)
    assert told.of("disarm", "venue:drill").refused == ("armed not_armed",)
    assert told.of("sync", "venue:drill").refused == told.of("lost", "venue:drill").refused == ("status venue",)
    assert told.of("kill", floor.desk).refused == ("status halted",)


def test_a_kill_cancels_first_and_then_closes_and_both_times_are_the_venue_models(floor):
    killed = floor.only("kill", floor.quiet)
    assert (killed.orders, killed.canceled, killed.filled, killed.open) == (1, 1, 0, ())
    assert killed.last_cancel_ns == SECOND
    # the cancel is heard at the end of the row that it falls into, and the order that closes takes a second again
    assert 2 * SECOND <= killed.flat_ns == killed.closed_ns <= 2 * SECOND + 100_000_000
    assert floor.only("kill", floor.flash).flat_ns == 0
    half = evolve(FREE, latency=Latency(order_ns=SECOND // 2))
    assert floor.only("kill", floor.quiet, rules=half).last_cancel_ns == SECOND // 2


def test_without_orders_a_kill_closes_at_once(floor):
    floor.off(floor.resting)
    assert floor.only("kill", floor.desk).flat_ns == SECOND


def test_a_stop_a_pause_and_a_lost_venue_leave_positions_where_they_are(floor):
    for act, target in (("stop", floor.quiet), ("pause", floor.vault), ("sync", "venue:drill"), ("disarm", "venue:drill")):
        one = floor.only(act, target)
        assert (one.orders, one.canceled, one.last_cancel_ns) == (1, 1, SECOND), one
        assert (one.closed_ns, one.flat_ns, dict(one.cost), one.left) == (None, None, {}, ())


def test_orders_at_a_venue_that_is_lost_are_off_once_it_is_back(floor):
    lost = floor.only("lost", "venue:drill", within=20 * SECOND)
    assert lost.ok
    assert 11 * SECOND <= lost.last_cancel_ns < 13 * SECOND
    assert not floor.only("lost", "venue:drill", within=8 * SECOND).ok, "it was not back yet, and the order may be filled"


def test_a_switch_that_cannot_be_thrown_says_so(floor):
    floor.desk.kill(floor.quiet, flatten=False, by="ada")
    paused = floor.only("pause", floor.quiet)
    assert "halted" in paused.note
    assert not paused.ok
    assert floor.only("kill", floor.quiet).ok


# -- what it costs -------------------------------------------------------------------------------------------------------


def test_what_closing_costs_is_exact(floor):
    assert floor.only("kill", floor.quiet).cost == {"USD": USD.zero}
    fee = floor.only("kill", floor.quiet, rules=evolve(FREE, fees=Fees(2_500, 4_000)))
    assert fee.cost == {"USD": USD("2")}
    slips = floor.only("kill", floor.quiet, rules=evolve(FREE, slippage=Slippage(1_000, 1_000)))
    assert slips.cost == {"USD": USD("0.5")}


def test_the_spread_that_was_seen_is_part_of_the_default_cost(floor):
    near = floor.only("kill", floor.quiet, rules=None)
    floor.quote("9900", "10100")
    wide = floor.only("kill", floor.quiet, rules=None)
    assert wide.cost["USD"] - near.cost["USD"] == USD("4.98"), "half of the spread on 500 USD, less the fee on it"


def test_a_crash_is_what_the_tape_says_from_the_latest_price_on(floor):
    """The tape falls from 200 by a tenth in fifteen seconds; here that is 10,000 to 9,000."""
    tape = bars(("200", "200", "180", "180"), ("180", "180", "180", "180"))
    fallen = floor.only("kill", floor.quiet, tape, rules=evolve(FREE, latency=Latency(order_ns=20 * SECOND)), within=60 * SECOND)
    assert fallen.filled == 0
    assert fallen.canceled == 1, "the order at 9,000 is not crossed by a price of 9,000"
    flat = floor.only("kill", floor.quiet, rules=evolve(FREE, latency=Latency(order_ns=20 * SECOND)), within=60 * SECOND)
    assert flat.cost == {"USD": USD.zero}
    # a bar that closes below its open goes to its high, its low and its close, a quarter of its time each: low at 30 s
    assert fallen.cost["USD"] > USD("45")
    assert fallen.flat_ns == flat.flat_ns


def test_an_order_that_fills_before_its_cancel_is_said_to_be_filled_and_what_it_brought_is_closed(floor):
    tape = bars(("100", "100", "50", "50"), ("50", "50", "50", "50"))
    slow = evolve(FREE, latency=Latency(order_ns=20 * SECOND))
    killed = floor.only("kill", floor.quiet, tape, rules=slow, within=60 * SECOND)
    assert (killed.orders, killed.canceled, killed.filled) == (1, 0, 1)
    assert killed.flat_ns is not None
    assert killed.ok
    assert killed.new_risk == (), "it was ordered before"


def test_fills_in_parts_take_longer_and_are_exact(floor):
    """A lot of 0.0001 BTC is a thousandth of what one may take of what is traded in a tenth of a second."""
    tape = bars(*[("100", "100", "100", "100")] * 2, volume=["6", "6"])
    thin = evolve(FREE, participation_ppm=100_000)
    killed = floor.only("kill", floor.quiet, tape, rules=thin, within=60 * SECOND)
    assert killed.ok, killed.faults()
    assert killed.flat_ns > 5 * SECOND
    assert killed.cost == {"USD": USD.zero}
    short = floor.only("kill", floor.quiet, tape, rules=thin, within=4 * SECOND)
    assert not short.ok
    assert short.flat_ns is None
    (left,) = short.left
    assert "quiet-3 is" in left.why and left.amount < BTC("0.05")


# -- what is left --------------------------------------------------------------------------------------------------------


def test_what_is_less_than_the_least_order_is_named_and_never_called_closed(floor):
    bought = floor.buy(floor.other, "0.0002")
    floor.desk.step(fill(bought.order, qty="0.00005", price="10000"))
    floor.off(bought)
    killed = floor.only("kill", floor.flash)
    assert killed.flat_ns is None
    (left,) = killed.left
    assert (left.sleeve, left.amount, left.least) == ("flash", BTC("0.00005"), True)
    assert "least order" in str(left)


def test_what_a_venue_that_is_down_leaves_open_is_named(floor):
    killed = floor.only("kill", floor.desk, faults=Faults(unavailable=1_000_000))
    assert not killed.ok
    assert killed.open == (floor.resting.order.id,)
    assert killed.flat_ns is None
    (left,) = killed.left
    assert left.amount == BTC("0.05")
    assert floor.resting.order.id in left.why, "it waits for that order's cancel"
    assert killed.exact
    assert "NO" in str(floor.drill(switches=[killed.switch], faults=Faults(unavailable=1_000_000)))


def test_an_order_that_the_venue_did_not_get_leaves_the_position_and_the_reason(floor):
    floor.off(floor.resting)
    killed = floor.only("kill", floor.quiet, faults=Faults(unavailable=1_000_000))
    (left,) = killed.left
    assert left.why == "not closed within 5 s", "it is still tried"
    unknown = floor.only("kill", floor.quiet, faults=Faults(request_lost=1_000_000))
    (left,) = unknown.left
    assert left.why.endswith("is unknown")
    assert unknown.open == ("quiet-3",)


def test_a_position_without_a_price_is_named():
    other = Instrument("ETH/USD", base=BTC, quote=USD, tick="0.01", lot="0.0001")
    floor = Floor()
    again = reopened(floor.desk)
    again.recovered()
    with pytest.raises(VaultError, match="no price"):
        anyio.run(drill, again)
    again.quote(again.index(other), again.books.now, 100, 101)
    told = anyio.run(partial(drill, again, switches=[Switch("kill", "desk:main")], within=SHORT))
    (left,) = told.rehearsals[0].left
    assert "no price" in left.why
    assert not told.ok


def test_a_sleeve_that_has_lost_its_engine_is_not_called_closed():
    floor = Floor()
    from sleeves import Treasury
    from sleeves.journal import Memory

    treasury = Treasury.reopen(Books(Memory.read(list(floor.desk.books.journal.lines()))))
    again = Desk(*treasury.vaults)
    again.assign(Puppet(), to=treasury["USD"].sleeves["flash"])
    again.recovered()
    again.quote(again.index(BTCUSD), again.books.now, BTCUSD.price("10000"), BTCUSD.price("10000"))
    killed = anyio.run(partial(drill, again, within=LONG)).of("kill", again)
    (left,) = killed.left
    assert (left.sleeve, left.least) == ("quiet", False)
    assert "no engine" in left.why


# -- contracts, bundles, venues --------------------------------------------------------------------------------------------


def test_shorts_are_bought_back_and_slices_of_one_net_closed_each():
    vault = CoreVault(USD, total="100000", tradeable="100000")
    desk = Desk(vault)
    venue = VirtualDriver(bars(*[("100", "101", "99", "100")] * 5, market=PERP), {"USD": USD("100000")}, Rules())
    ways = {"long": (Side.BUY, "40"), "short": (Side.SELL, "25"), "small": (Side.SELL, "0.0001")}
    engines = {}
    for name, (side, qty) in ways.items():
        sleeve = vault.sleeve(name, QUIET, allocate="20000")
        engines[name] = Puppet(PERP, name)
        engines[name].wishes = [Place(PERP, side, PERP.qty(qty))]
        desk.assign(engines[name], to=sleeve)

    async def live():
        async for event in venue.events():
            await carry(desk, desk.step(event), venue)
        return await drill(desk, within=10 * SECOND)

    told = anyio.run(live)
    assert {name: sleeve.position(PERP).text for name, sleeve in vault.sleeves.items()} == {
        "long": "40",
        "short": "-25",
        "small": "-0.0001",
    }
    assert told.ok, str(told)
    killed = told.of("kill", desk)
    assert killed.flat_ns == SECOND // 4
    assert killed.cost["USD"] > USD("25"), "0.4% of 4,000 and 2,500, and what slips"


def test_a_bundle_under_way_is_under_way_on_the_copy():
    floor = Floor()
    other = Instrument("BTC/USD2", base=BTC, quote=USD, tick="0.01", lot="0.0001")
    floor.desk.quote(floor.desk.index(other), floor.desk.books.now, 1_000_000, 1_000_000)
    floor.wish(floor.other, Bundle((Place(BTCUSD, Side.BUY, BTCUSD.qty("0.01")), Place(other, Side.SELL, other.qty("0.01")))))
    assert len(floor.desk.bundles) == 1
    told = floor.drill(within=10 * SECOND)
    assert told.of("kill", floor.flash).exact
    assert told.of("kill", floor.flash).flat_ns is not None
    assert len(floor.desk.bundles) == 1


def two_venues():
    """Two wallets, each at a venue of its own, one sleeve and a resting buy at each."""
    books = Books()
    desk_vaults, puppets = [], []
    for venue in ("kraken", "drift"):
        desk_vaults.append(CoreVault(USD, total="10000", tradeable="8000", wallet=venue, books=books))
    desk = Desk(*desk_vaults)
    for vault in desk_vaults:
        market = Instrument(f"BTC/{vault.wallet}", base=BTC, quote=USD, tick="0.01", lot="0.0001", venue=vault.wallet)
        puppet = Puppet(market, vault.wallet)
        puppet.sit(desk, vault.sleeve(vault.wallet, QUIET, allocate="2000"))
        order = puppet.wish(Place(market, Side.BUY, market.qty("0.05"), limit=market.price("9000"))).order
        desk.step(Accepted(order.id, order.at))
        puppets.append(puppet)
    return desk


def test_a_lost_venue_concerns_its_own_sleeves_and_no_others():
    desk = two_venues()
    told = anyio.run(partial(drill, desk, within=15 * SECOND))
    assert told.ok, str(told)
    lost = told.of("lost", "venue:kraken")
    assert lost.sleeves == ("kraken",)
    assert lost.orders == 1
    assert told.of("kill", desk).orders == 2
    assert told.of("kill", desk.treasury.vaults[1]).sleeves == ("drift",)


# -- the living desk -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("faults", [None, Faults.all(100_000)])
def test_the_living_desk_is_not_touched(floor, faults):
    floor.desk.latch("kraken", Hold.SYNC, by="live")
    floor.desk.lift("kraken", Hold.SYNC, by="live")
    before, digest, state = list(floor.desk.books.journal), floor.desk.books.journal.digest(), of_desk(floor.desk)
    wakes = {name: (seat.wake, seat.counter, seat.wanted) for name, seat in floor.desk._seats.items()}
    floor.drill(faults=faults, seed=3)
    assert list(floor.desk.books.journal) == before
    assert (floor.desk.books.journal.digest(), of_desk(floor.desk)) == (digest, state)
    assert {name: (seat.wake, seat.counter, seat.wanted) for name, seat in floor.desk._seats.items()} == wakes
    assert floor.desk.books.listeners == []
    assert floor.desk.check(deep=True).holds
    assert isinstance(floor.buy(floor.other, "0.001"), SubmitOrder), "it goes on where it was"


def test_nor_is_an_engine_that_keeps_things_on_itself(floor):
    floor.one.wishes = [Place(BTCUSD, Side.BUY, BTCUSD.qty("0.002"))]
    floor.drill()
    assert len(floor.one.wishes) == 1


def test_listeners_of_the_living_books_hear_nothing_of_a_drill(floor):
    heard = []
    floor.desk.books.listen(heard.append)
    floor.drill()
    assert heard == []


def test_nor_is_a_journal_on_disk(tmp_path):
    path = tmp_path / "main.sleeves"
    journal = SQLite.open(path)
    floor = Floor(journal)
    digest, size = journal.digest(), len(journal)
    told = floor.drill()
    assert told.ok, str(told)
    assert (journal.digest(), len(journal), journal.load()) == (digest, size, None)
    again = Floor()
    assert [one.last_cancel_ns for one in again.drill().rehearsals] == [one.last_cancel_ns for one in told.rehearsals]
    journal.close()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_drill_beside_a_desk_that_trades(backend):
    """The copy is of one instant; the living desk goes on meanwhile, and its engines with it."""
    tape = Tape.sample().slice(0, 400)
    alone, beside = [], []

    def new_desk():
        vault = CoreVault(USD, total="5000", tradeable="5000")
        desk = Desk(vault)
        desk.assign(Trend.flash(tape.instrument), to=vault.sleeve("flash", FLASH, allocate="5000"))
        return desk

    async def run(desk, found, drilled):
        from sleeves.live import trade

        venue = VirtualDriver(tape, account_of(desk))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(trade, desk, venue)
            while drilled and not found:
                await anyio.lowlevel.checkpoint()
                if len(desk.books.journal) > 100:
                    found.append(await drill(desk, within=SHORT))

    one, other = new_desk(), new_desk()
    anyio.run(run, one, alone, False, backend=backend)
    anyio.run(run, other, beside, True, backend=backend)
    assert beside[0].ok
    assert one.books.journal.digest() == other.books.journal.digest()


def test_an_engine_that_cannot_be_copied_is_told_and_stood_in_for(floor):
    floor.one.lock = threading.Lock()
    told = floor.drill()
    assert told.notes == ("the engine of quiet cannot be copied: one that does nothing stood in for it",)
    assert told.ok
    assert told.notes[0] in str(told)


def test_what_holds_a_desk_holds_its_copy(floor):
    """Limits, latches and what is armed are there; a desk that is paused is paused."""
    from sleeves.limits import Limit

    floor.desk.require_arming("sim")
    floor.desk.limit(floor.vault, Limit("exposure", "100", then="kill"))
    floor.desk.pause(floor.flash, by="ada")
    told = floor.drill(switches=[Switch("stop", floor.flash)], within=90 * SECOND)
    assert Switch("disarm", "venue:sim") in [one.switch for one in floor.drill().rehearsals]
    assert told.ok
    assert floor.quiet.own_status is Status.ACTIVE, "the limit has killed the copy, and nothing else"


# -- a desk that is broken on purpose --------------------------------------------------------------------------------------


def goes_on_asking(patch):
    """Engines are asked after a kill."""
    patch.setattr("sleeves.stops.NEVER", 0)


def lets_orders_pass(patch):
    """The status gate sees nothing."""
    from sleeves import gates

    core = (lambda place, view, vault: None, *gates.CORE[1:])
    for module in ("gates", "desk", "sim.drill.house"):
        patch.setattr(f"sleeves.{module}.CORE", core)


def closes_nothing(patch):
    """A kill flattens nothing, and does not say so."""
    patch.setattr(Stops, "flatten", lambda self, seat, now: ())


def leaves_orders(patch):
    """A pause forgets what rests at the venue."""
    patch.setattr(Stops, "cancel_opening", lambda self, seat, closing=False: [])


def is_out_by_a_unit(patch):
    """The account has a unit more with each trade than the books."""
    charge = Matcher._trade

    def more(self, live, at, price, qty, liquidity, cost=None):
        self._coins["USD"] += 1
        return charge(self, live, at, price, qty, liquidity, cost)

    patch.setattr(Matcher, "_trade", more)


@pytest.mark.parametrize(
    ("broken", "act", "said"),
    [
        (goes_on_asking, "kill", "asked"),
        (lets_orders_pass, "pause", "new risk was taken"),
        (closes_nothing, "kill", "keeps 0.05 BTC"),
        (leaves_orders, "pause", "not off the book: quiet-2"),
        (is_out_by_a_unit, "kill", "paper account"),
    ],
)
def test_a_desk_that_is_broken_on_purpose_is_caught(floor, broken, act, said, monkeypatch):
    broken(monkeypatch)
    one = floor.only(act, floor.desk)
    assert not one.ok
    assert any(said in fault for fault in one.faults()), one.faults()


# -- the same again, and what is refused -------------------------------------------------------------------------------------


def test_the_same_desk_and_seed_give_the_same_drill(floor):
    faults = Faults.all(200_000)
    one, again, other = (floor.drill(faults=faults, seed=seed, within=15 * SECOND) for seed in (1, 1, 2))
    assert one == again
    assert one != other


@pytest.mark.parametrize(
    ("kwargs", "error"),
    [
        ({"within": 0}, VaultError),
        ({"within": 1.5e10}, VaultError),
        ({"within": True}, VaultError),
        ({"switches": ["kill"]}, VaultError),
        ({"switches": [Switch("kill", "nobody")]}, VaultError),
        ({"switches": [Switch("stop", "desk:main")]}, VaultError),
        ({"switches": [Switch("lost", "quiet")]}, VaultError),
        ({"switches": [Switch("kill", "venue:drill")]}, VaultError),
        ({"rules": {"ETH/USD": FREE}}, VaultError),
        ({"rules": "free"}, VaultError),
        ({"rules": Rules(Fees(9_000, 9_000))}, VaultError),
        ({"faults": {"jump": 1}}, VaultError),
    ],
)
def test_a_drill_of_what_is_not_there_is_refused(floor, kwargs, error):
    with pytest.raises(error):
        floor.drill(**kwargs)


def test_tapes_are_of_markets_with_a_price(floor):
    tape = bars(("1", "1", "1", "1"))
    for tapes in (("tape",), (tape, tape), (bars(("1", "1", "1", "1"), market=PERP),)):
        with pytest.raises(VaultError):
            floor.drill(*tapes)


@pytest.mark.parametrize("given", [("blow up", "quiet"), ("kill", ""), ("kill", None), ("kill", 3)])
def test_a_switch_is_one(given):
    with pytest.raises(VaultError):
        Switch(*given)


def test_a_desk_that_is_not_recovered_or_none_is_refused(floor):
    with pytest.raises(VaultError, match="recover"):
        anyio.run(drill, reopened(floor.desk))
    with pytest.raises(VaultError):
        anyio.run(drill, floor.vault)


def test_what_was_not_rehearsed_is_not_told(floor):
    told = floor.drill(switches=[Switch(Act.KILL, floor.quiet)])
    with pytest.raises(VaultError, match="not rehearsed"):
        told.of("pause", floor.quiet)


def test_a_drill_reads_as_a_table_and_as_rows(floor):
    told = floor.drill(switches=[Switch("kill", floor.quiet), Switch("stop", floor.flash)])
    head, one, other, *rest = str(told).splitlines()
    assert head.split() == ["switch", "orders", "last", "cancel", "flat", "cost", "left", "new", "risk", "ok"]
    assert one.split()[:3] == ["kill", "quiet", "1"]
    assert other.split()[-1] == "yes"
    assert "simulated time" in "\n".join(rest)
    (row, _) = told.rows()
    assert (row["switch"], row["orders"], row["last_cancel_s"], row["ok"]) == ("kill quiet", 1, 1.0, True)


# -- desks in the middle of everything ---------------------------------------------------------------------------------------


async def at_random(seed, faults):
    """A desk of three sleeves on coins and contracts, stopped at a random instant of its life."""
    trial = Trial(seed, rows=150, faults=Faults(), crash_ppm=0, fails_ppm=0)
    left = Dice(seed).between(60, 600)
    async for event in trial.venue.events():
        await carry(trial.desk, trial.desk.step(event), trial.venue)
        left -= 1
        if not left:
            break
    digest = trial.desk.books.journal.digest()
    told = await drill(trial.desk, faults=faults, seed=seed, within=20 * SECOND)
    assert trial.desk.books.journal.digest() == digest
    return told


@pytest.mark.parametrize("seed", range(4))
def test_a_sound_desk_in_the_middle_of_its_trades_passes_every_switch(seed):
    told = anyio.run(at_random, seed, None)
    assert told.ok, str(told)
    assert told.of("kill", "desk:main").flat_ns is not None


@pytest.mark.parametrize("seed", range(20, 23))
def test_behind_a_bad_wire_books_stay_exact_no_risk_is_taken_and_all_that_is_left_is_named(seed):
    told = anyio.run(at_random, seed, Faults.all(100_000))
    for one in told.rehearsals:
        assert one.exact, one
        assert not one.new_risk
        if one.switch.act is Act.KILL:
            assert one.asked == 0
            assert (one.flat_ns is None) == bool(one.left)
            assert all(left.why for left in one.left)


# -- prices ----------------------------------------------------------------------------------------------------------------


def test_a_path_goes_where_the_matcher_goes():
    """The same rows, cut into tenths of a second, have the prices that the matcher has at those instants."""
    tape = bars(("100", "110", "95", "105"), ("105", "108", "90", "92"))
    times = times_of(tape.at[0], 100 * SECOND)
    path = path_of(BTCUSD, tape, tape.open[0], tape.at[0], times)
    matcher = Matcher(BTCUSD, {"USD": USD("1"), "BTC": BTC("1")}, FREE)
    ends = iter(zip(path.ends(), path.close, strict=True))
    at, close = next(ends)
    for (begin, *prices, volume), end in zip(tape.rows(), tape.ends(), strict=True):
        matcher.begin(begin, end - begin, *prices, volume)
        while at <= end:
            matcher.move(at)
            assert matcher.last == close, at - tape.at[0]
            at, close = next(ends, (1 << 62, 0))
        matcher.finish() if at > end else None
    assert (max(path.high), min(path.low)) == (BTCUSD.price("110"), BTCUSD.price("90"))
    for at, open_, high, low, close, _ in path.rows():
        assert low <= min(open_, close) <= max(open_, close) <= high, at


def test_a_path_begins_at_the_latest_price_and_moves_in_proportion():
    tape = bars(("200", "220", "190", "210"), volume=["10"])
    times = times_of(5, 60 * SECOND)
    path = path_of(BTCUSD, tape, BTCUSD.price("1000"), tape.at[0], times)
    assert (path.open[0], max(path.high), min(path.low), path.close[-1]) == tuple(map(BTCUSD.price, ("1000", "1100", "950", "1050")))
    assert path.at[0] == 5
    assert 0.99 * tape.volume[0] < sum(path.volume) <= tape.volume[0]
    still = path_of(BTCUSD, None, 77, 0, times)
    assert set(still.open) | set(still.high) | set(still.low) | set(still.close) == {77}
    assert not still.has_volume


@pytest.mark.parametrize("within", [2 * SECOND, 30 * SECOND, 31 * SECOND, 60 * SECOND, 3_600 * SECOND])
def test_rows_are_short_at_first_and_cover_the_time(within):
    times = times_of(0, within)
    steps = {b - a for a, b in pairwise(times)}
    assert times[0] == 0
    assert min(steps) == SECOND // 10
    assert within - max(steps) <= times[-1] <= within
    assert len(times) <= 650
