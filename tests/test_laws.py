"""The laws of the books, under one machine that does everything a user, an engine and a venue can do, in any order.

The venue here is a model of its own: it has its own coins, tells its facts late, twice and out of order, and lets a
human move money behind our back. The model of the sleeves' cash beside it is plain arithmetic on what was told.
"""

from __future__ import annotations

import os

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from helpers import Puppet
from sleeves import BTC, FLASH, QUIET, USD, Cancel, CoreVault, Desk, Instrument, Limit, Place, ProfitPolicy, Side
from sleeves.errors import NotEnough, VaultError
from sleeves.fold import SleeveFold
from sleeves.ledger import Entry, EntryKind
from sleeves.market import SECOND
from sleeves.money import Amount, Rounding
from sleeves.orders import Accepted, Canceled, CancelOrder, Fill, Liquidity, Rejected, SubmitOrder, Unanswered
from sleeves.state import State
from sleeves.status import Hold, Status
from standing import assert_stands, reopened

MARKET = Instrument("BTC/USD", base=BTC, quote=USD, tick="0.01", lot="0.0001", min_notional="1")
NAMES = ("quiet", "flash", "mixed")


class Books(RuleBasedStateMachine):
    @initialize(reserve=st.sampled_from([None, "5%", "20%"]), cap=st.sampled_from([None, "15000", "16000"]))
    def open(self, reserve, cap):
        self.vault = CoreVault(USD, total="20000", tradeable="12000", reserve=reserve, cap=cap)
        policies = (QUIET, FLASH, ProfitPolicy.above_high_water("50%").at_least("1").at_most("100"))
        self.sleeves = [self.vault.sleeve(n, p, allocate="3000") for n, p in zip(NAMES, policies, strict=True)]
        self.desk = Desk(self.vault)
        self.engines = [Puppet(MARKET, f"puppet-{n}") for n in NAMES]
        for engine, sleeve in zip(self.engines, self.sleeves, strict=True):
            self.desk.assign(engine, to=sleeve)
        self.index = self.desk.index(MARKET)
        self.now = 0
        self.price = 1_000_000
        # the venue: what it holds, its orders (order -> filled), what it has not told yet, all it ever told
        self.coins = {"USD": USD("20000").units, "BTC": 0}
        self.live: dict[str, list] = {}
        self.untold: list = []
        self.told: list = []
        self.trades = 0
        # the model of what each sleeve was given and traded
        self.cash = {name: USD("3000").units for name in NAMES}
        self.base = dict.fromkeys(NAMES, 0)
        self.tradeable = USD("12000").units
        self.booked: set[str] = set()
        self.folds, self.read = [SleeveFold(name, USD) for name in NAMES], 0
        self.flow_seen = {(name, kind): 0 for name in NAMES for kind in EntryKind}
        for name in NAMES:
            self.flow_seen[name, EntryKind.ALLOCATE] = USD("3000").units
        self.state = State()
        self.quote()

    # -- the market and the engines ----------------------------------------------------------------------------------

    def quote(self):
        self.now += SECOND
        self.carry(self.desk.quote(self.index, self.now, self.price, self.price + 1))

    def carry(self, commands):
        for command in commands:
            if isinstance(command, SubmitOrder):
                self.live.setdefault(command.order.id, [command.order, 0])
                if command.order.place.limit is not None:
                    self.untold.append(Accepted(command.order.id, self.now))
            elif isinstance(command, CancelOrder) and command.order.id in self.live:
                del self.live[command.order.id]
                self.untold.append(Canceled(command.order.id, self.now, "requested"))

    @rule(move=st.integers(-200, 200))
    def price_moves(self, move):
        self.price = max(100, self.price * (1000 + move) // 1000)
        self.quote()

    @rule(who=st.integers(0, 2), part=st.integers(1, 120), offset=st.sampled_from([None, -500, 0, 500]))
    def wish_to_buy(self, who, part, offset):
        qty = MARKET.round_qty(MARKET.affordable(max(0, self.sleeves[who].free.units), self.price, 4000) * part // 100)
        if qty > 0:
            limit = None if offset is None else max(1, self.price + offset)
            self.engines[who].wishes.append(Place(MARKET, Side.BUY, qty, limit=limit))
            self.quote()

    @rule(who=st.integers(0, 2), part=st.integers(1, 110), offset=st.sampled_from([None, 0, 500]))
    def wish_to_sell(self, who, part, offset):
        qty = MARKET.round_qty(self.sleeves[who].position(MARKET).units * part // 100)
        if qty > 0:
            limit = None if offset is None else self.price + offset
            self.engines[who].wishes.append(Place(MARKET, Side.SELL, qty, limit=limit, reduce_only=True))
            self.quote()

    @rule(who=st.integers(0, 2))
    def wish_to_sell_all(self, who):
        self.wish_to_sell(who, 100, None)

    @rule(
        who=st.integers(0, 2),
        part=st.integers(10, 100),
        move=st.integers(-100, 100),
        pieces=st.integers(1, 3),
        sell=st.sampled_from([0, 50, 100, 100]),
    )
    def trade(self, who, part, move, pieces, sell):
        """A buy and a sale, each in pieces and told at once: the plain life of a sleeve, so that runs go deep."""
        self.wish_to_buy(who, part, None)
        self.fill_all(pieces)
        self.price_moves(move)
        if sell:
            self.wish_to_sell(who, sell, None)
            self.fill_all(pieces)

    def fill_all(self, pieces):
        for order_id in sorted(self.live):
            for piece in range(pieces):
                if order_id in self.live:
                    self.fill(order_id, 100 if piece == pieces - 1 else 40, 2500)
                    self.tell_all()

    @precondition(lambda self: self.live)
    @rule(pick=st.randoms(use_true_random=False))
    def wish_to_cancel(self, pick):
        order = self.live[pick.choice(sorted(self.live))][0]
        self.engines[NAMES.index(order.sleeve)].wishes.append(Cancel(order.id))
        self.quote()

    # -- the venue ---------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.live)
    @rule(pick=st.randoms(use_true_random=False), part=st.sampled_from([30, 100, 100]), fee_ppm=st.sampled_from([-100, 0, 2500, 4000]))
    def venue_fills(self, pick, part, fee_ppm):
        self.fill(pick.choice(sorted(self.live)), part, fee_ppm)

    def fill(self, order_id, part, fee_ppm):
        order, filled = self.live[order_id]
        place = order.place
        qty = max(MARKET.lot_units, MARKET.round_qty((place.qty - filled) * part // 100))
        price = place.limit or (min(self.price, order.worst) if order.worst else self.price)
        buy = place.side is Side.BUY
        cost = MARKET.cost(price, qty, Rounding.CEIL if buy else Rounding.FLOOR)
        fee = -(-cost * fee_ppm // 1_000_000)
        self.trades += 1
        sign = 1 if buy else -1
        self.coins["BTC"] += sign * qty
        self.coins["USD"] -= sign * cost + fee
        self.live[order_id][1] += qty
        if self.live[order_id][1] >= place.qty:
            del self.live[order_id]
        self.untold.append(
            Fill(order_id, self.now, MARKET, place.side, qty, price, cost, Amount(fee, USD), Liquidity.TAKER, f"t{self.trades}", "v")
        )

    @precondition(lambda self: self.live)
    @rule(pick=st.randoms(use_true_random=False))
    def venue_rejects(self, pick):
        order_id = pick.choice(sorted(self.live))
        if not self.live[order_id][1]:
            del self.live[order_id]
            self.untold.append(Rejected(order_id, self.now, "no"))

    @precondition(lambda self: self.untold)
    @rule(pick=st.randoms(use_true_random=False), copies=st.integers(1, 3), many=st.booleans())
    def venue_tells(self, pick, copies, many):
        """Any untold fact, in any order, up to three times."""
        for _ in range(len(self.untold) if many else 1):
            event = self.untold.pop(pick.randrange(len(self.untold)))
            self.told.append(event)
            for _ in range(copies):
                self.tell(event)

    def tell_all(self):
        while self.untold:
            self.told.append(self.untold.pop(0))
            self.tell(self.told[-1])

    @precondition(lambda self: self.told)
    @rule(pick=st.randoms(use_true_random=False))
    def venue_repeats_itself(self, pick):
        """What was told before changes nothing: not a unit, not a record."""
        written = len(self.vault.books.journal)
        event = pick.choice(self.told)
        if isinstance(event, Accepted) and event.order_id in {order.id for order in self.desk.in_doubt}:
            return  # the answer to an order that was lost since: it says something new
        self.tell(event)
        assert len(self.vault.books.journal) == written

    @rule(who=st.integers(0, 2), part=st.integers(1, 60))
    def fill_comes_late(self, who, part):
        """An order is filled in part and canceled, the cancel is told first, and the money is spent before the fill is."""
        self.wish_to_buy(who, 100, 0)
        mine = [order_id for order_id in self.live if order_id.startswith(NAMES[who])]
        if not mine:
            return
        before = len(self.untold)
        self.fill(mine[-1], part, 4000)
        late = [self.untold.pop() for _ in range(len(self.untold) - before)]
        if mine[-1] in self.live:
            self.engines[who].wishes.append(Cancel(mine[-1]))
            self.quote()
        self.tell_all()
        self.wish_to_buy(who, 100, None)
        self.untold += late

    def tell(self, event):
        if isinstance(event, Fill) and event.key not in self.booked:
            self.booked.add(event.key)
            name = event.order_id.rpartition("-")[0]
            sign = 1 if event.side is Side.BUY else -1
            self.cash[name] -= sign * event.cost + event.fee.units
            self.base[name] += sign * event.qty
        self.carry(self.desk.step(event))

    # -- the user ----------------------------------------------------------------------------------------------------

    @rule(who=st.integers(0, 2), units=st.integers(1, USD("3000").units))
    def allocate(self, who, units):
        before, sleeve = self.vault.remaining, self.sleeves[who]
        at_once, allocation, pending = sleeve.is_flat() or sleeve.free.units < 0, sleeve.allocation.units, sleeve.pending.units
        try:
            self.vault.allocate(sleeve, Amount(units, USD), by="ann", why="more")
        except NotEnough as error:
            assert units > before.units and error.free == before
        except VaultError:
            assert self.vault.short()
        else:
            grown = sleeve.allocation.units - allocation, sleeve.pending.units - pending
            assert grown == ((units, 0) if at_once else (0, units))

    @rule(who=st.integers(0, 2), units=st.integers(1, USD("4000").units))
    def reclaim(self, who, units):
        sleeve = self.sleeves[who]
        loose = sleeve.pending.units + max(0, sleeve.free.units)
        try:
            self.vault.reclaim(sleeve, Amount(units, USD), by="ann")
        except NotEnough as error:
            assert units > loose and error.free == Amount(loose, USD)
        else:
            assert units <= loose

    @rule(units=st.one_of(st.integers(USD("12000").units, USD("25000").units), st.just(0), st.integers(0, USD("12000").units)))
    def set_tradeable(self, units):
        try:
            self.vault.set_tradeable(Amount(units, USD), by="ann")
        except VaultError:
            assert units > self.vault.total.units - self.vault.reserve.units or self.vault.reserve_rule is not None
        else:
            assert self.vault.tradeable.units == units
            self.tradeable = units

    @precondition(lambda self: not self.untold)
    @rule(units=st.integers(-USD("30000").units, USD("5000").units))
    def money_moves_outside(self, units):
        """A human deposits or withdraws at the venue, and the next look at the wallet finds it."""
        pnl = {s.name: (s.realized, s.fees) for s in self.sleeves}
        before, missing = self.vault.total.units, self.vault.suspense
        change = max(units, -self.coins["USD"])
        self.coins["USD"] += change
        found = self.vault.observe_balance(Amount(self.coins["USD"], USD))
        assert found.units == change
        grown = self.vault.tradeable.units - self.tradeable
        assert 0 <= grown <= max(0, change)
        assert not grown or self.vault.tradeable.units <= self.vault.cap
        self.tradeable += grown
        assert self.vault.total.units == before + change
        if self.vault.suspense < missing:
            assert not self.vault.idle.units
            assert not self.vault.reserve.units
        assert pnl == {s.name: (s.realized, s.fees) for s in self.sleeves}

    @rule()
    def cure(self):
        self.vault.cure(by="ann")

    @rule(
        who=st.integers(0, 2),
        what=st.sampled_from(["pause", "resume", "clear", "kill", "kill and flatten", "revive", "pause vault", "resume vault"]),
    )
    def states(self, who, what):
        sleeve = self.sleeves[who]
        try:
            if what == "pause":
                sleeve.pause(by="ann")
            elif what == "resume":
                sleeve.resume(by="ann")
            elif what == "clear":
                sleeve.clear(by="ann", why="looked")
            elif what.startswith("kill"):
                self.carry(self.desk.kill(sleeve, flatten="flatten" in what, by="ann"))
            elif what == "revive":
                self.carry(self.desk.revive(sleeve, by="ann", why="again"))
            elif what == "pause vault":
                self.vault.pause(by="ann")
            else:
                self.vault.resume(by="ann")
        except VaultError:
            pass

    @rule(
        who=st.integers(0, 2),
        what=st.sampled_from(["stop", "start", "pause", "resume", "kill", "kill and flatten", "revive", "deactivate", "reactivate"]),
        on=st.sampled_from(["desk", "sleeve", "sleeve"]),
    )
    def the_desk_stands(self, who, what, on):
        """One engine is stopped while others run; the desk is stopped as a whole; a sleeve is closed and taken back."""
        sleeve = self.sleeves[who]
        target = self.desk if on == "desk" else sleeve
        try:
            if what == "stop":
                self.carry(self.desk.stop(sleeve, by="ann"))
            elif what == "start":
                self.desk.start(sleeve, by="ann")
            elif what == "pause":
                self.carry(self.desk.pause(target, by="ann"))
            elif what == "resume":
                self.desk.resume(target, by="ann")
            elif what.startswith("kill"):
                self.carry(self.desk.kill(target, flatten="flatten" in what, by="ann"))
            elif what == "revive":
                self.carry(self.desk.revive(target, by="ann", why="again"))
            elif what == "deactivate":
                self.desk.deactivate(sleeve, by="ann", why="over")
            else:
                self.desk.reactivate(sleeve, by="ann", why="again")
        except VaultError:
            pass

    @rule(what=st.sampled_from(["latch", "lift"]), cause=st.sampled_from(Hold), who=st.integers(0, 4), by=st.sampled_from(["ann", "desk"]))
    def something_holds(self, what, cause, who, by):
        """A venue, the vault or a sleeve is held for a cause, and lifted by who may."""
        target = "sim" if who == 4 else self.vault if who == 3 else self.sleeves[who]
        try:
            if what == "latch":
                self.carry(self.desk.latch(target, cause, by=by))
            else:
                self.desk.lift(target, cause, by=by)
        except VaultError:
            pass

    @rule(who=st.integers(0, 3), kind=st.sampled_from(["daily_loss", "drawdown", "exposure"]), most=st.sampled_from(["1%", "10%", "100"]))
    def a_limit_is_set(self, who, kind, most):
        self.desk.limit(self.vault if who == 3 else self.sleeves[who], Limit(kind, most, "kill" if most == "100" else "close_only"))

    @precondition(lambda self: self.live)
    @rule(pick=st.randoms(use_true_random=False))
    def an_answer_is_lost(self, pick):
        """The venue has the order and we do not know it: what it holds stays held."""
        order_id = pick.choice(sorted(self.live))
        held = [sleeve.held for sleeve in self.sleeves]
        self.carry(self.desk.step(Unanswered(order_id, self.now, "no answer")))
        assert held == [sleeve.held for sleeve in self.sleeves]

    @rule(snapshot=st.booleans())
    def the_process_is_killed(self, snapshot):
        """Nothing survives but the journal's lines. The venue goes on telling, late and twice as ever."""
        self.desk = reopened(self.desk, snapshot=snapshot)
        self.vault = self.desk.treasury.vaults[0]
        self.sleeves = [self.vault.sleeves[name] for name in NAMES]
        assert not self.desk.quote(self.index, self.now, self.price, self.price + 1)
        self.carry(self.desk.recovered(at=self.now))
        self.quote()

    # -- the laws ----------------------------------------------------------------------------------------------------

    @invariant()
    def the_journal_says_where_the_desk_stands(self):
        """Killed now, it would come back as it is."""
        if not hasattr(self, "desk"):
            return
        for record in self.desk.books.journal.after(self.state.count):
            self.state.apply(record)
        assert_stands(self.desk, self.state)

    @invariant()
    def the_books_hold(self):
        if not hasattr(self, "desk"):
            return
        assert not self.desk.faults, self.desk.faults
        holdings = None
        if not self.untold:
            holdings = {code: Amount(units, USD if code == "USD" else BTC) for code, units in self.coins.items()}
        proof = self.desk.check(holdings)
        assert proof.holds, str(proof)

    @invariant()
    def each_sleeve_has_what_it_was_given_and_made(self):
        if not hasattr(self, "desk"):
            return
        ledger = self.vault.books.ledger
        for name, sleeve in zip(NAMES, self.sleeves, strict=True):
            for kind in (EntryKind.ALLOCATE, EntryKind.RECLAIM, EntryKind.SWEEP):
                flow = ledger.flow(name, kind, USD)
                if kind is EntryKind.SWEEP and flow != self.flow_seen[name, kind]:
                    self.tradeable += self.flow_seen[name, kind] - flow
                self.cash[name] += flow - self.flow_seen[name, kind]
                self.flow_seen[name, kind] = flow
            assert sleeve.free.units + sleeve.held.units == self.cash[name]
            assert sleeve.free_units(BTC) + sleeve.held_units(BTC) == self.base[name]
            assert sleeve.position(MARKET).units == self.base[name]
        assert self.vault.tradeable.units == self.tradeable, "Tradeable moved by something else than sweeps and the user"

    @invariant()
    def a_sweep_takes_profit_only(self):
        """Each sweep, at the very record that wrote it, leaves the sleeve at least its allocation."""
        if not hasattr(self, "desk"):
            return
        records = list(self.vault.books.journal)
        for record in records[self.read :]:
            if isinstance(record, Entry):
                for fold in self.folds:
                    fold.apply(record)
                    if record.kind is EntryKind.SWEEP and record.postings[0].account.owner == fold.name:
                        assert fold.balance >= fold.allocation
        self.read = len(records)

    @invariant()
    def an_order_that_is_done_holds_nothing(self):
        if not hasattr(self, "desk"):
            return
        for name in NAMES:
            seat = self.desk._seats[name]
            held = {account.of for account, code, units in self.vault.books.ledger.cells(name) if account.role == "held"}
            assert held <= set(seat.open_orders)
            for order in seat.open_orders.values():
                working = self.desk._blotter.get(order.id)
                units = self.vault.books.ledger.units(working.held, working.asset)
                if order.place.side is Side.SELL:
                    assert units == working.left
                else:
                    assert units + 10 * 50 >= MARKET.cost(order.worst, working.left, Rounding.FLOOR)

    @invariant()
    def flash_is_never_above_its_allocation_when_flat(self):
        if not hasattr(self, "desk"):
            return
        flash = self.sleeves[1]
        if flash.is_flat() and not flash.held.units and flash.status is not Status.HALTED:
            assert flash.balance <= max(flash.allocation, USD.zero)

    def teardown(self):
        if hasattr(self, "desk"):
            proof = self.desk.check(deep=True)
            assert proof.holds, str(proof)
            for sleeve in self.sleeves:
                assert self.desk.explain(sleeve).exact or sleeve.position(MARKET).units


RUNS = int(os.environ.get("SLEEVES_LAW_RUNS", "500"))
TestBooks = Books.TestCase
TestBooks.settings = settings(max_examples=RUNS, stateful_step_count=50, deadline=None)
