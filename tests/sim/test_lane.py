"""The lane writes the journal that the desk and the exchange would have written, record for record, and leaves all as they would.

The long way is the desk and the matcher themselves: the lane is taken away. Engines here do what hypothesis draws: orders that
the lane takes and such as it must not, of one sleeve or several, on tapes with gaps, jumps and rows without volume.
"""

import sys
from contextlib import contextmanager

import pytest
from attrs import define
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sleeves import ETH, FLASH, QUIET, USD, Allowance, Asset, Cancel, CoreVault, Desk, Instrument, Place, ProfitPolicy, Side, TimeInForce
from sleeves.errors import EngineFault, VaultError
from sleeves.gates import Cooldown
from sleeves.market import DAY, MINUTE
from sleeves.orders import Accepted, Canceled, OrderStatus
from sleeves.records import Marked, Placed
from sleeves.seat import NEVER
from sleeves.sim import Fees, Latency, Rules, Slippage, Tape, replay, replay_many
from sleeves.sim.lane import Lane
from sleeves.sim.models import FeeIn, SquareRoot

REPLAY = sys.modules["sleeves.sim.replay"]
BEGIN = 1_600_000_000 * 10**9


@contextmanager
def the_long_way():
    """Take the lane away: every order goes through the desk and the exchange."""
    before = Lane.of
    Lane.of = classmethod(lambda cls, desk, exchange: None)
    try:
        yield
    finally:
        Lane.of = before


@define
class Count:
    rows: int = 0
    wishes: int = 0


class Scripted:
    """Wishes what its script says at its row: (kind, size in parts of what could be)."""

    every = 0

    def __init__(self, market, script, *, name="scripted", planned=False, broken=None):
        self.market, self.script, self.name, self.broken = market, dict(script), name, broken
        self.watches = (market,)
        if planned:
            self.plan = self._plan

    def begin(self):
        return Count()

    def _plan(self, tape):
        return Script(self, len(tape))

    def decide(self, memory, view):
        row, memory.rows = memory.rows, memory.rows + 1
        if row == self.broken:
            raise ArithmeticError("planted")
        if row not in self.script:
            return None
        memory.wishes += 1
        kind, part = self.script[row]
        return self.wish(kind, part, view)

    def wish(self, kind, part, view):
        market, price = self.market, view.book.bid
        most = view.affordable(market)
        buy = max(1, most * part // 100)
        sell = max(1, view.position(market) * min(part, 100) // 100)
        lots = market.lot_units
        if kind == "buy":
            return (Place(market, Side.BUY, max(lots, buy // lots * lots), why="up"),)
        if kind == "buy odd":
            return [Place(market, Side.BUY, buy, tif=TimeInForce.IOC)]
        if kind == "sell":
            return (Place(market, Side.SELL, max(lots, sell // lots * lots), reduce_only=bool(part % 2)),)
        if kind == "sell odd":
            return (Place(market, Side.SELL, sell + part % 3, tif=TimeInForce.FOK),)
        if kind == "both":
            return (Place(market, Side.BUY, max(lots, buy // lots * lots)), Place(market, Side.SELL, max(lots, sell // lots * lots)))
        if kind == "limit":
            tick = market.tick_units
            return (Place(market, Side.BUY, max(lots, buy // 2 // lots * lots), limit=max(tick, price * 99 // 100 // tick * tick)),)
        if kind == "stop":
            tick = market.tick_units
            return (Place(market, Side.SELL, max(lots, sell // lots * lots), stop=max(tick, price * 99 // 100 // tick * tick)),)
        if kind == "cancel":
            return [Cancel(order.id) for order in view.orders()]
        if kind == "reduce buy":
            return (Place(market, Side.BUY, lots, reduce_only=True),)
        return () if kind == "nothing" else {"sell all": self._all(view)}[kind]

    def _all(self, view):
        held = self.market.round_qty(view.position(self.market))
        return (Place(self.market, Side.SELL, held),) if held else None


class Script:
    """A plan that names the rows of a script, and some more on the way."""

    def __init__(self, engine, size):
        self.engine, self.size = engine, size
        self.rows = sorted(row for row in {*engine.script, engine.broken} if row is not None and row < size)

    def next(self, memory, row, view):
        return next((one for one in self.rows if one >= row), self.size)

    def seek(self, memory, since, row):
        memory.rows = row


KINDS = ("buy", "buy", "buy odd", "sell", "sell all", "sell all", "sell odd", "both", "limit", "stop", "cancel", "reduce buy", "nothing")
PLAIN = ("buy", "sell", "sell all", "buy")


@st.composite
def tapes(draw, market, least=8, most=60):
    rows = draw(st.integers(least, most))
    price = draw(st.integers(20, 40_000)) * market.tick_units
    jumps = st.sampled_from([0, 0, 1, -1, 3, -3, 10, -10, 40, -40])
    at, ts = BEGIN, []
    columns = {name: [] for name in ("open", "high", "low", "close", "volume")}
    for _ in range(rows):
        path = [price]
        for _ in range(3):
            price = max(market.tick_units, price * (1000 + draw(jumps)) // 1000 // market.tick_units * market.tick_units)
            path.append(price)
        if draw(st.booleans()):
            price = max(market.tick_units, price * (1000 + draw(jumps)) // 1000 // market.tick_units * market.tick_units)
        ts.append(at)
        at += draw(st.sampled_from([MINUTE, MINUTE, MINUTE, 7 * MINUTE, 61 * MINUTE, 20 * 10**9]))
        for name, value in (("open", path[0]), ("high", max(path)), ("low", min(path)), ("close", path[-1])):
            columns[name].append(value)
        columns["volume"].append(draw(st.integers(0, 50_000)))
    volume = columns.pop("volume")
    return Tape.from_units(market, at=ts, **columns, volume=volume if draw(st.booleans()) else None, interval=MINUTE)


@st.composite
def markets(draw):
    tick, lot = draw(st.sampled_from(["0.01", "0.5", "1"])), draw(st.sampled_from(["0.0000000001", "0.001", "0.1"]))
    least, worth = draw(st.sampled_from(["0", "0.1", "0.2"])), draw(st.sampled_from(["0", "5", "1000"]))
    return Instrument("ETH/USD", base=ETH, quote=USD, tick=tick, lot=lot, min_qty=least, min_notional=worth)


slippages = st.sampled_from([Slippage.none(), Slippage(), Slippage(100, 9_000, "500"), SquareRoot(50, 300_000, "100000")])
fees = st.sampled_from(
    [
        Fees(0, 0),
        Fees(1_000, 1_000),
        Fees(),
        Fees(-100, -50),
        Fees(0, 4_000),
        Fees(1_000, 2_500, FeeIn.RECEIVED),
        Fees(1_000, 0, FeeIn.RECEIVED),
    ]
)
rules_of = st.builds(
    Rules,
    fees=fees,
    slippage=slippages,
    participation_ppm=st.sampled_from([None, None, 100_000, 1_000_000]),
    latency=st.sampled_from([Latency(), Latency(), Latency(), Latency(order_ns=10**9)]),
)
policies = st.sampled_from([QUIET, FLASH, ProfitPolicy("half", 500_000)])


def scripts(rows, kinds=KINDS):
    return st.dictionaries(st.integers(0, rows - 1), st.tuples(st.sampled_from(kinds), st.integers(1, 120)), max_size=rows)


def desk_of(market, seats, *, total="30000", tradeable="30000", mark_every=60 * MINUTE, gates=(), planned=False, more=0, broken=None):
    """A desk with one sleeve for each (policy, script)."""
    vault = CoreVault(USD, total=total, tradeable=tradeable)
    desk = Desk(vault, allowance=Allowance.of(fee="0.5%", slippage="0.5%"), mark_every=mark_every)
    for place, (policy, script) in enumerate(seats):
        sleeve = vault.sleeve(f"s{place}", policy, allocate="9000")
        own = gates if place == 0 else ()
        desk.assign(Scripted(market, script, name=f"e{place}", planned=planned, broken=broken), to=sleeve, gates=own)
        if more:
            vault.allocate(sleeve, more)
    return desk


def state_of(desk):
    """All that is left of a run, but for the journal."""
    seats = {
        name: (seat.counter, seat.wanted, seat.refusal, seat.repeats, seat.wake, seat.memory, seat.view._sent, seat.view._last_exit)
        for name, seat in desk._seats.items()
    }
    ids = [record.order.id for record in desk.books.journal if isinstance(record, Placed)]
    orders = {one: (desk.status_of(one), desk.filled(one)) for one in ids}
    cells = {str(account): amount for owner in desk.books.ledger.owners() for account, amount in desk.books.ledger.accounts(owner)}
    boards = [(book.at, book.before, book.bid, book.ask, book.volume) for book in desk._tables]
    times = desk.books.now, desk._priced, desk._due, desk._mark_at, desk._tick_at, desk.books.last, desk.books.changes
    flows = desk.books.ledger._flows
    return seats, orders, cells, boards, times, flows, dict(desk.books.facts), desk.open_orders(), desk.books.quarantine


def same(one, other, *, told=None):
    """Two runs that came to the same in everything."""
    first, second = list(one.desk.books.journal), list(other.desk.books.journal)
    for place, (a, b) in enumerate(zip(first, second, strict=False)):
        assert a == b, f"record {place}"
    assert len(first) == len(second)
    assert len(one.desk.books.journal) == len(first)
    assert one.desk.books.journal.digest() == other.desk.books.journal.digest()
    assert state_of(one.desk) == state_of(other.desk)
    assert one.holdings == other.holdings
    one.proof.require()
    assert not one.desk.books.ledger.differences()


def drawn(data, kinds=KINDS, most=3):
    market = data.draw(markets())
    tape = data.draw(tapes(market))
    seats = data.draw(st.lists(st.tuples(policies, scripts(len(tape), kinds)), min_size=1, max_size=most))
    return market, tape, seats, data.draw(rules_of)


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_the_lane_writes_what_the_desk_would_have_written(data):
    market, tape, seats, rules = drawn(data)
    terms = {"mark_every": data.draw(st.sampled_from([MINUTE, 7 * MINUTE, 60 * MINUTE])), "more": data.draw(st.sampled_from([0, 0, 500]))}
    terms["gates"] = data.draw(st.sampled_from([(), (), (Cooldown(3 * MINUTE),)]))
    one = replay(desk_of(market, seats, **terms), tape, rules=rules, progress=False, bounds=False)
    with the_long_way():
        other = replay(desk_of(market, seats, **terms), tape, rules=rules, progress=False, bounds=False)
    same(one, other)


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_a_run_by_plan_writes_what_asking_on_every_row_writes(data):
    market, tape, seats, rules = drawn(data, data.draw(st.sampled_from([KINDS, PLAIN])))
    terms = {"mark_every": data.draw(st.sampled_from([MINUTE, 7 * MINUTE, 60 * MINUTE]))}
    one = replay(desk_of(market, seats, planned=True, **terms), tape, rules=rules, progress=False, bounds=False)
    with the_long_way():
        other = replay(desk_of(market, seats, **terms), tape, rules=rules, progress=False, bounds=False)
    same(one, other)


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_many_desks_in_one_pass_write_what_each_writes_alone(data):
    market = data.draw(markets())
    tape = data.draw(tapes(market))
    rules = data.draw(rules_of)
    several = data.draw(st.lists(st.lists(st.tuples(policies, scripts(len(tape))), min_size=1, max_size=2), min_size=1, max_size=4))
    planned = data.draw(st.booleans())
    together = replay_many([desk_of(market, seats, planned=planned) for seats in several], tape, rules=rules, progress=False)
    assert len(together) == len(several)
    for seats, report in zip(several, together, strict=True):
        with the_long_way():
            alone = replay(desk_of(market, seats), tape, rules=rules, progress=False, bounds=False)
        same(report, alone)


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_a_desk_goes_on_after_the_lane(data):
    """On a second tape, and with facts that are told again or come late, it is the desk that it would have been."""
    market, tape, seats, rules = drawn(data, PLAIN, 2)
    cut = data.draw(st.integers(2, len(tape) - 2))
    assume(tape.at[cut] - tape.at[cut - 1] >= MINUTE)
    first, second = tape.slice(0, cut), tape.slice(cut)
    reports = []
    for way in (None, the_long_way):
        desk = desk_of(market, seats)
        for part in (first, second):
            if desk.open_orders():
                break
            if way is None:
                report = replay(desk, part, rules=rules, progress=False, bounds=False)
            else:
                with way():
                    report = replay(desk, part, rules=rules, progress=False, bounds=False)
        reports.append(report)
    same(*reports)
    one, other = (report.desk for report in reports)
    fills = list(other.books.facts.values())
    before = one.books.journal.digest()
    for fill in fills:
        assert one.books.fact(fill.key) == fill
        assert not one.step(fill)
        if not other.status_of(fill.order_id).done:
            continue
        assert not one.step(Accepted(fill.order_id, fill.at, "late"))
        assert not one.step(Canceled(fill.order_id, fill.at, "late"))
    assert one.books.journal.digest() == before


MARKET = Instrument("ETH/USD", base=ETH, quote=USD, tick="0.01", lot="0.001", min_qty="0.01", min_notional="5")


def flat(prices, volume=None):
    """One row a minute, each at one price."""
    ts = [BEGIN + MINUTE * n for n in range(len(prices))]
    return Tape.from_units(MARKET, at=ts, open=prices, high=prices, low=prices, close=prices, volume=volume, interval=MINUTE)


FREE = Rules(Fees(1_000, 1_000), Slippage.none())


def taken(script, prices, rules=FREE, volume=None):
    """How many orders of a run the lane has filled, and the run."""
    report = replay(desk_of(MARKET, [(QUIET, script)]), flat(prices, volume), rules=rules, progress=False, bounds=False)
    return sum(map(len, report.desk.books.daybooks)), report


def test_the_lane_is_really_taken():
    """After the first round trip, which opens the accounts, all that is plain goes by it."""
    script = {row: ("buy", 50) if row % 2 else ("sell all", 0) for row in range(1, 41)}
    count, report = taken(script, [200_000 + row for row in range(50)])
    assert report.story.sleeves["s0"].fills == 40
    assert count == 38


@pytest.mark.parametrize(("jump", "filled"), [(0, 1), (1_000, 1), (1_001, 0)])
def test_a_buy_beyond_its_worst_price_is_left_to_the_exchange(jump, filled):
    """Its hold covers half a percent: 200,000 units and 1,000 more, and not one more than that."""
    script = {1: ("buy", 50), 2: ("sell all", 0), 5: ("buy", 50)}
    prices = [200_000] * 6 + [200_000 + jump] * 4
    count, report = taken(script, prices)
    assert report.story.sleeves["s0"].fills == 2 + filled
    assert count == 1 + filled
    order = report.desk.status_of("s0-3")
    assert order is (OrderStatus.FILLED if filled else OrderStatus.CANCELED)


@pytest.mark.parametrize(("volume", "whole"), [(4_000, False), (400_000, True)])
def test_what_the_volume_does_not_fill_at_once_is_left_to_the_exchange(volume, whole):
    script = {1: ("buy", 50), 2: ("sell all", 0), 5: ("buy", 50)}
    rules = Rules(Fees(1_000, 1_000), Slippage.none(), participation_ppm=100_000)
    count, report = taken(script, [200_000] * 12, rules, [400_000] * 5 + [volume] * 7)
    assert (report.story.sleeves["s0"].fills == 3) is whole
    assert count == 1 + whole


def test_an_order_in_the_last_row_is_left_open():
    report = taken({1: ("buy", 50), 2: ("sell all", 0), 9: ("buy", 50)}, [200_000] * 10)[1]
    assert [order.id for order in report.desk.open_orders()] == ["s0-3"]
    assert report.desk.status_of("s0-3") is OrderStatus.SUBMITTED
    assert report.desk.check(report.holdings, deep=True)


def test_marks_are_where_they_were():
    script = {1: ("buy", 50), 2: ("sell all", 0), 70: ("buy", 50), 180: ("sell all", 0)}
    seats = [(QUIET, script)]
    tape = flat([200_000 + row for row in range(400)])
    one = replay(desk_of(MARKET, seats, planned=True), tape, rules=FREE, progress=False, bounds=False)
    marks = [record for record in one.desk.books.journal if isinstance(record, Marked)]
    assert len(marks) == 9
    assert all(record.prices == {"ETH/USD": (200_000 + (record.at - BEGIN) // MINUTE - 1, record.at)} for record in marks)


def test_an_engine_that_raises_ends_its_own_run_alone():
    seats, tape = [(QUIET, {1: ("buy", 50), 2: ("sell all", 0)})], flat([200_000] * 20)
    for planned in (False, True):
        desks = [desk_of(MARKET, seats, planned=planned, broken=broken) for broken in (None, 7, None)]
        with pytest.raises(EngineFault, match="s0 raised ArithmeticError: planted"):
            replay_many(desks, tape, rules=FREE, progress=False)
        desks = [desk_of(MARKET, seats, planned=planned, broken=broken) for broken in (None, 7, None)]
        first, fault, last = replay_many(desks, tape, rules=FREE, progress=False, catch=True)
        assert isinstance(fault, EngineFault)
        assert isinstance(fault.__cause__, ArithmeticError)
        same(first, last)
        assert desks[1].check(deep=True)


def test_what_cannot_be_run_together_is_said_before_anything_runs():
    tape = flat([200_000] * 5)
    desk = desk_of(MARKET, [(QUIET, {})])
    with pytest.raises(VaultError, match="each desk once"):
        replay_many([desk, desk], tape, progress=False)
    with pytest.raises(VaultError, match="runs Desks, not str"):
        replay_many([desk, "desk"], tape, progress=False)
    with pytest.raises(VaultError, match="over list"):
        replay_many([desk], [], progress=False)
    assert replay_many([], tape, progress=False) == []
    assert not desk.books.now
    dear = Desk(CoreVault(USD, total="10", tradeable="0"))
    with pytest.raises(VaultError, match="takes a fee of 1%"):
        replay_many([desk, dear], tape, rules=Rules(Fees(0, 10_000)), progress=False)
    assert not desk.books.now


def test_a_copy_of_a_desk_that_was_noted_is_the_desk():
    import copy
    import pickle

    report = taken({row: ("buy", 50) if row % 2 else ("sell all", 0) for row in range(1, 11)}, [200_000] * 20)[1]
    journal = report.desk.books.journal
    assert len(journal) == len(list(copy.deepcopy(journal)))
    assert pickle.loads(pickle.dumps(journal)).digest() == journal.digest()


# -- runs that do not end by themselves ------------------------------------------------------------------------------------

ONCE = {1: ("buy", 50), 2: ("sell all", 0)}


def broken_off(way, planned):
    """A desk of two sleeves: the first one's engine raises at row 10, the second orders in the last row."""
    desk = desk_of(MARKET, [(QUIET, ONCE), (QUIET, {**ONCE, 19: ("buy", 50)})], planned=planned)
    desk._seats["s0"].engine.broken = 10
    desk._seats["s1"].engine.broken = None
    with way(), pytest.raises(EngineFault, match="s0"):
        replay(desk, flat([200_000] * 20), rules=FREE, progress=False, bounds=False)
    return desk


@contextmanager
def the_lane():
    yield


@pytest.mark.parametrize("planned", [False, True])
def test_after_an_engine_has_raised_the_books_are_sound_and_orders_stand(planned):
    one, other = broken_off(the_lane, planned), broken_off(the_long_way, False)
    assert [order.id for order in one.open_orders()] == ["s1-3"]
    assert one.books.journal.digest() == other.books.journal.digest()
    assert state_of(one) == state_of(other)
    one.check(deep=True).require()


@pytest.mark.parametrize("planned", [False, True])
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_a_run_that_is_broken_off_leaves_the_books_sound(planned, error):
    """Whoever draws the bar raises while an order of the last row of a block is on its way."""
    rows = 16_384 + 50
    script = {**ONCE, 16_383: ("buy", 50)}
    desks = [desk_of(MARKET, [(QUIET, script)], planned=planned) for _ in range(2)]
    tape = flat([200_000] * rows)

    def draw(done):
        raise error("planted")

    with pytest.raises(error, match="planted"):
        replay(desks[0], tape, rules=FREE, progress=draw, bounds=False)
    with pytest.raises(error, match="planted"):
        replay_many(desks[1:], tape, rules=FREE, progress=draw)
    for desk in desks:
        desk.check(deep=True).require()
        assert len(desk.open_orders()) == 1 or planned  # by plan the block may end behind the fill


def test_an_engine_that_raised_is_not_asked_again_whatever_its_rhythm():
    class Slow(Scripted):
        every = 3 * MINUTE

    for planned in (False, True):
        desk = desk_of(MARKET, [])
        vault = next(iter(desk.treasury.vaults))
        sleeve = vault.sleeve("slow", QUIET, allocate="9000")
        engine = Slow(MARKET, {}, broken=2)
        if planned:
            engine.plan = lambda tape: Third(len(tape))
        desk.assign(engine, to=sleeve)
        with pytest.raises(EngineFault, match="planted"):
            replay(desk, flat([200_000] * 40), rules=FREE, progress=False, bounds=False)
        assert desk._seats["slow"].wake == NEVER


class Third:
    """Every third row, at which an engine with a rhythm of three minutes is asked."""

    def __init__(self, size):
        self.size = size

    def next(self, memory, row, view):
        return min(self.size, -(-row // 3) * 3)

    def seek(self, memory, since, row):
        memory.rows = -(-row // 3)


@pytest.mark.parametrize("planned", [False, True])
def test_who_listens_in_the_middle_hears_every_record_from_there_on(planned):
    script = {row: ("buy", 50) if row % 2 else ("sell all", 0) for row in range(1, 40_000)}
    heard, free = {}, Rules(Fees(0, 0), Slippage.none())
    for way in (the_lane, the_long_way):
        desk = desk_of(MARKET, [(QUIET, script)], planned=planned)
        told = heard[way] = []

        def listen(done, desk=desk, told=told):
            if not desk.books.listeners:
                desk.books.listen(told.append)

        with way():
            replay(desk, flat([200_000 + row % 7 for row in range(20_000)]), rules=free, progress=listen, bounds=False)
        assert told == list(desk.books.journal)[-len(told) :]
        assert len(told) > 5_000
    if not planned:
        assert heard[the_lane] == heard[the_long_way]


# -- plans that are none, or wrong -----------------------------------------------------------------------------------------


class Planned(Scripted):
    """One whose class has the plan."""

    def plan(self, tape):
        return Script(self, len(tape))


def run_of(engine, rows=30, **how):
    vault = CoreVault(USD, total="9000", tradeable="9000")
    sleeve = vault.sleeve("s0", QUIET, allocate="9000")
    desk = Desk(vault)
    desk.assign(engine, to=sleeve)
    return replay(desk, flat([200_000 + row for row in range(rows)]), rules=FREE, progress=False, bounds=False, **how)


def test_a_plan_is_believed_only_of_the_class_that_has_it():
    class Stopped(Planned):
        def decide(self, memory, view):
            wishes = super().decide(memory, view)
            return self._all(view) if wishes is None and memory.rows == 9 else wishes

    class Other(Planned):
        def plan(self, tape, more):
            raise AssertionError("this is no plan for a tape")

    script = {1: ("buy", 50)}
    assert run_of(Stopped(MARKET, script)).story.sleeves["s0"].fills == 2
    assert run_of(Other(MARKET, script)).story.sleeves["s0"].fills == 1
    assert run_of(Planned(MARKET, script)).desk.telemetry("s0").wanted_at


@pytest.mark.parametrize("answer", [-1, 3, None, 7.0, "9", True])
def test_a_plan_that_answers_nonsense_is_a_fault_of_its_engine(answer):
    class Odd(Planned):
        def plan(self, tape):
            plan = Script(self, len(tape))
            sound = plan.next
            plan.next = lambda memory, row, view: answer if row > 4 else sound(memory, row, view)
            return plan

    with pytest.raises(EngineFault, match=f"plan of sleeve s0 answered {answer!r} for the next row from"):
        run_of(Odd(MARKET, {4: ("buy", 50)}))


@pytest.mark.parametrize("where", ["plan", "next", "seek"])
def test_a_plan_that_raises_is_a_fault_of_its_engine(where):
    class Bad(Planned):
        def plan(self, tape):
            plan = Script(self, len(tape))
            if where == "plan":
                raise ArithmeticError("planted")
            setattr(plan, where, lambda *args: 1 // 0)
            return plan

    with pytest.raises(
        EngineFault, match=f"the plan of sleeve s0 raised {'ArithmeticError' if where == 'plan' else 'ZeroDivisionError'}"
    ) as told:
        run_of(Bad(MARKET, {4: ("buy", 50)}))
    assert isinstance(told.value.__cause__, ArithmeticError)
    assert run_of(Bad(MARKET, {4: ("buy", 50)}), plan=False).story.sleeves["s0"].fills == 1


def test_an_engine_that_names_its_market_twice_goes_the_long_way():
    engines = []
    for way in (the_lane, the_long_way):
        engine = Planned(MARKET, {1: ("buy", 50), 2: ("sell all", 0), 9: ("buy", 50)})
        engine.watches = (MARKET, MARKET)
        with way():
            engines.append(run_of(engine))
    assert engines[0].desk.books.journal.digest() == engines[1].desk.books.journal.digest()
    assert not engines[0].desk.books.daybooks


def test_who_looks_on_between_blocks_sees_sound_books():
    rows = 16_384 + 50
    for planned in (False, True):
        desk = desk_of(MARKET, [(QUIET, {**ONCE, 16_383: ("buy", 50)})], planned=planned)
        seen = []

        def look(done, desk=desk, seen=seen):
            seen.append((desk.check(deep=True).require(), [order.id for order in desk.open_orders()], desk.books.now))

        replay(desk, flat([200_000] * rows), rules=FREE, progress=look, bounds=False)
        assert [one[1] for one in seen] == [["s0-3"], []]
        assert seen[0][2] == BEGIN + 16_384 * MINUTE


def test_a_desk_that_replays_again_and_again_keeps_one_daybook():
    desk = desk_of(MARKET, [(QUIET, {row: ("buy", 50) if row % 2 else ("sell all", 0) for row in range(1, 400)})])
    for part in range(5):
        prices = [200_000] * 20
        tape = Tape.from_units(
            MARKET, at=[BEGIN + MINUTE * (n + 20 * part) for n in range(20)], open=prices, high=prices, low=prices, close=prices
        )
        replay(desk, tape, rules=FREE, progress=False, bounds=False)
        if desk.open_orders():
            break
    assert len(desk.books.daybooks) == 1


WEI = Instrument("WEI/USD", base=Asset("WEI", 18), quote=USD, tick="0.01", lot="0.000000000000000001")


class Wei:
    """Buys five coins of eighteen decimals, more units than 2**62, whole or not at all, and sells them."""

    name, watches, every = "wei", (WEI,), 0

    def begin(self):
        return Count()

    def decide(self, memory, view):
        memory.rows += 1
        if memory.rows % 4 == 1:
            return (Place(WEI, Side.BUY, 5 * 10**18, tif=TimeInForce.FOK),)
        return (Place(WEI, Side.SELL, view.position(WEI), tif=TimeInForce.FOK),) if memory.rows % 4 == 3 else None


def test_a_quantity_beyond_any_price_fills_whole_on_both_ways():
    prices = [200_000 + row for row in range(40)]
    tape = Tape.from_units(WEI, at=[BEGIN + MINUTE * n for n in range(40)], open=prices, high=prices, low=prices, close=prices)
    reports = []
    for way in (the_lane, the_long_way):
        vault = CoreVault(USD, total="90000", tradeable="90000")
        sleeve = vault.sleeve("s0", QUIET, allocate="90000")
        desk = Desk(vault)
        desk.assign(Wei(), to=sleeve)
        with way():
            reports.append(replay(desk, tape, rules=FREE, progress=False, bounds=False))
    assert [report.story.sleeves["s0"].fills for report in reports] == [20, 20]
    same(*reports)


def test_a_reserve_that_flexes_is_sized_with_what_orders_hold():
    """A mark that falls due between an order and its fill: tapes with gaps, and a reserve that follows the week's volatility."""
    from sleeves import Reserve

    ts = [BEGIN - BEGIN % DAY + n * 7 * MINUTE for n in range(1500)]
    prices = [200_000 + (row * 7919) % 3001 for row in range(1500)]
    market = Instrument("ETH/USD", base=ETH, quote=USD, tick="0.01", lot="0.001")
    tape = Tape.from_units(market, at=ts, open=prices, high=prices, low=prices, close=prices, interval=MINUTE)
    reports = []
    for way in (the_lane, the_long_way):
        vault = CoreVault(USD, total="60000", tradeable="30000", reserve=Reserve.flex())
        sleeve = vault.sleeve("s0", QUIET, allocate="9000")
        desk = Desk(vault)
        desk.assign(Scripted(market, {row: ("buy", 50) if row % 2 else ("sell all", 0) for row in range(1, 1500)}), to=sleeve)
        with way():
            reports.append(replay(desk, tape, rules=FREE, progress=False, bounds=False))
    same(*reports)


@pytest.mark.parametrize("plan", [None, 1, "yes"])
def test_plan_is_yes_or_no(plan):
    with pytest.raises(VaultError, match="must be True, to go by plan"):
        run_of(Planned(MARKET, {}), plan=plan)
    with pytest.raises(VaultError, match="must be True, to go by plan"):
        replay_many([desk_of(MARKET, [])], flat([200_000] * 5), plan=plan)
