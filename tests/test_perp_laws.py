"""The laws of the books for contracts, under one machine: several sleeves on one position that the venue nets.

The venue here is a model of its own, with one netted position, its own average cost and its own cash. It fills in parts,
pays funding, settles all or some, closes by force and forgives, and tells all of it late and twice. It never liquidates
by any rule: it does so when the machine likes, which the books must bear.
"""

from __future__ import annotations

import os

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from helpers import Puppet
from sleeves import FLASH, QUIET, SOL, USDC, Cancel, CoreVault, Desk, Instrument, Place, ProfitPolicy, Side
from sleeves.errors import VaultError
from sleeves.facts import Bankrupted, FundingPaid, Liquidated, Settled, Transferred, TransferRefused
from sleeves.fold import SleeveFold
from sleeves.ledger import Entry, EntryKind
from sleeves.market import SECOND, FundingRate, Kind
from sleeves.money import Amount, Rounding
from sleeves.orders import Canceled, CancelOrder, Fill, Liquidity, Position, Rejected, SettlePnl, SubmitOrder, Transfer, Unanswered
from sleeves.state import State
from standing import assert_stands, reopened

MARKET = Instrument("SOL-PERP", base=SOL, quote=USDC, tick="0.01", lot="0.01", kind=Kind.PERP)
NAMES = ("quiet", "flash", "mixed")


class Perps(RuleBasedStateMachine):
    @initialize(reserve=st.sampled_from([None, "10%"]), leverage=st.sampled_from([3, 10]))
    def open(self, reserve, leverage):
        self.vault = CoreVault(USDC, total="20000", tradeable="12000", reserve=reserve, cap="18000")
        policies = (QUIET, FLASH, ProfitPolicy.above_high_water("50%"))
        self.sleeves = [self.vault.sleeve(n, p, allocate="3000") for n, p in zip(NAMES, policies, strict=True)]
        self.leverage = leverage
        self.desk = Desk(self.vault, most_leverage=leverage)
        self.engines = [Puppet(MARKET, f"puppet-{n}") for n in NAMES]
        for engine, sleeve in zip(self.engines, self.sleeves, strict=True):
            self.desk.assign(engine, to=sleeve)
        self.index = self.desk.index(MARKET)
        self.now = 1_700_000_000 * SECOND
        self.price = 15_000
        self.cash = USDC("20000").units
        self.base = self.cost = self.money = 0
        self.live: dict[str, list] = {}
        self.untold: list = []
        self.told: list = []
        self.facts = 0
        self.folds, self.read = [SleeveFold(name, USDC) for name in NAMES], 0
        self.state = State()
        self.quote()

    def number(self):
        self.facts += 1
        return f"n{self.facts}"

    # -- the market and the engines ----------------------------------------------------------------------------------

    def quote(self):
        self.now += SECOND
        self.carry(self.desk.quote(self.index, self.now, self.price, self.price))

    def carry(self, commands):
        for command in commands:
            if isinstance(command, SubmitOrder):
                self.live.setdefault(command.order.id, [command.order, 0])
            elif isinstance(command, CancelOrder) and command.order.id in self.live:
                del self.live[command.order.id]
                self.untold.append(Canceled(command.order.id, self.now, "requested"))
            elif isinstance(command, SettlePnl):
                self.settle(100)
            elif isinstance(command, Transfer):
                if command.amount.units < -self.cash:
                    self.untold.append(TransferRefused(self.now, command.id, "no"))
                else:
                    self.cash += command.amount.units
                    self.untold.append(Transferred(self.now, command.amount, command.id, "v"))

    @rule(move=st.integers(-80, 80))
    def price_moves(self, move):
        self.price = max(100, self.price * (1000 + move) // 1000)
        self.quote()

    @rule(
        who=st.integers(0, 2),
        side=st.sampled_from(Side),
        part=st.integers(1, 110),
        offset=st.sampled_from([None, -100, 0, 100]),
        reduce=st.booleans(),
    )
    def wish(self, who, side, part, offset, reduce):
        view = self.desk._seats[NAMES[who]].view
        place = Place(MARKET, side, 1)
        most = view.closable(place) if reduce else view.affordable(MARKET)
        qty = MARKET.round_qty(most * part // 100)
        if qty > 0:
            limit = None if offset is None else max(1, self.price + offset)
            self.engines[who].wishes.append(Place(MARKET, side, qty, limit=limit, reduce_only=reduce))
            self.quote()

    @rule(
        who=st.integers(0, 2),
        side=st.sampled_from(Side),
        part=st.integers(20, 90),
        move=st.integers(-60, 60),
        out=st.sampled_from([50, 100, 150]),
    )
    def trade(self, who, side, part, move, out):
        """In, a move of the price, and out, or half out, or beyond: told at once."""
        self.wish(who, side, part, None, False)
        self.fill_all()
        self.price_moves(move)
        other = Side.SELL if side is Side.BUY else Side.BUY
        qty = MARKET.round_qty(abs(self.sleeves[who].position(MARKET).units) * out // 100)
        if qty:
            self.engines[who].wishes.append(Place(MARKET, other, qty))
            self.quote()
        self.fill_all()

    @precondition(lambda self: self.live)
    @rule(pick=st.randoms(use_true_random=False))
    def wish_to_cancel(self, pick):
        order = self.live[pick.choice(sorted(self.live))][0]
        self.engines[NAMES.index(order.sleeve)].wishes.append(Cancel(order.id))
        self.quote()

    # -- the venue ---------------------------------------------------------------------------------------------------

    def nets(self, change, spent, fee):
        """The venue's own netted position, at its own average cost."""
        against = min(abs(self.base), abs(change)) if self.base * change < 0 else 0
        released = self.cost if against == abs(self.base) and against else (-(-self.cost * against // abs(self.base)) if against else 0)
        closing = spent if against == abs(change) else -(-spent * against // abs(change)) if against else 0
        self.base += change
        self.cost += spent - closing - released
        self.money -= spent + fee

    def fill_all(self):
        for order_id in sorted(self.live):
            if order_id in self.live:
                self.fill(order_id, 100, 2500)
                self.tell_all()

    @precondition(lambda self: self.live)
    @rule(pick=st.randoms(use_true_random=False), part=st.sampled_from([30, 100, 100]), fee_ppm=st.sampled_from([-100, 0, 2500, 4000]))
    def venue_fills(self, pick, part, fee_ppm):
        self.fill(pick.choice(sorted(self.live)), part, fee_ppm)

    def fill(self, order_id, part, fee_ppm):
        order, filled = self.live[order_id]
        place, buy = order.place, order.place.side is Side.BUY
        qty = max(MARKET.lot_units, MARKET.round_qty((place.qty - filled) * part // 100))
        price = place.limit or self.price
        if order.worst:
            price = min(price, order.worst) if buy else max(price, order.worst)
        cost = MARKET.cost(price, qty, Rounding.CEIL if buy else Rounding.FLOOR)
        fee = -(-cost * fee_ppm // 1_000_000)
        self.nets(qty if buy else -qty, cost if buy else -cost, fee)
        self.live[order_id][1] += qty
        if self.live[order_id][1] >= place.qty:
            del self.live[order_id]
        at = self.now
        self.untold.append(Fill(order_id, at, MARKET, place.side, qty, price, cost, Amount(fee, USDC), Liquidity.TAKER, self.number(), "v"))

    @precondition(lambda self: self.live)
    @rule(pick=st.randoms(use_true_random=False))
    def venue_rejects(self, pick):
        order_id = pick.choice(sorted(self.live))
        if not self.live[order_id][1]:
            del self.live[order_id]
            self.untold.append(Rejected(order_id, self.now, "no"))

    @rule(rate=st.integers(-2_000_000, 2_000_000))
    def funding_falls_due(self, rate):
        """Told in its turn with fills: an exchange tells one account's facts in order, if late."""
        self.now += SECOND
        paid = FundingRate(MARKET, self.now, rate, self.price, MARKET.contract.funding_every)
        amount = paid.payment(self.base)
        self.money += amount
        self.untold.append(FundingPaid(paid, self.base, amount, self.number(), "v"))

    @rule(part=st.sampled_from([100, 100, 30]))
    def settle(self, part):
        units = (self.money + self.cost) * part // 100
        if units:
            self.money -= units
            self.cash += units
            self.untold.append(Settled(self.now, MARKET, units, self.number(), "v"))

    @precondition(lambda self: self.base and not self.untold and not self.live)
    @rule(part=st.sampled_from([20, 60, 100]), move=st.integers(-300, 300))
    def venue_closes_by_force(self, part, move):
        self.price = max(100, self.price * (1000 + move) // 1000)
        qty = max(MARKET.lot_units, MARKET.round_qty(abs(self.base) * part // 100))
        side = -1 if self.base > 0 else 1
        cost = MARKET.cost(self.price, qty, Rounding.FLOOR if side < 0 else Rounding.CEIL)
        fee = -(-cost // 100)
        self.nets(side * qty, side * cost, fee)
        self.untold.append(Liquidated(self.now, MARKET, side * qty, self.price, cost, Amount(fee, USDC), self.number(), "v"))
        self.tell_all()

    @precondition(lambda self: not self.base and not self.untold and self.cash + self.money < 0)
    @rule()
    def venue_forgives(self):
        lost = -(self.cash + self.money)
        self.money += lost
        self.untold.append(Bankrupted(self.now, MARKET, lost, self.number(), "v"))

    @precondition(lambda self: self.untold)
    @rule(copies=st.integers(1, 2), many=st.booleans())
    def venue_tells(self, copies, many):
        for _ in range(len(self.untold) if many else 1):
            if self.untold:
                event = self.untold.pop(0)
                self.told.append(event)
                for _ in range(copies):
                    self.carry(self.desk.step(event))

    def tell_all(self):
        while self.untold:
            self.told.append(self.untold.pop(0))
            self.carry(self.desk.step(self.told[-1]))

    @precondition(lambda self: self.told)
    @rule(pick=st.randoms(use_true_random=False))
    def venue_repeats_itself(self, pick):
        written = len(self.vault.books.journal)
        self.carry(self.desk.step(pick.choice(self.told)))
        assert len(self.vault.books.journal) == written

    # -- the user ----------------------------------------------------------------------------------------------------

    @rule(who=st.integers(0, 2), units=st.integers(1, USDC("2000").units), back=st.booleans())
    def allocate_or_reclaim(self, who, units, back):
        try:
            (self.vault.reclaim if back else self.vault.allocate)(self.sleeves[who], Amount(units, USDC), by="ann")
        except VaultError:
            pass

    @rule(units=st.integers(1, USDC("6000").units), out=st.booleans())
    def transfer(self, units, out):
        try:
            amount = Amount(units, USDC)
            self.carry(self.desk.withdraw(self.vault, amount, by="ann") if out else self.desk.deposit(self.vault, amount))
        except VaultError:
            pass

    @rule(who=st.integers(0, 2), what=st.sampled_from(["close", "kill", "kill and flatten", "revive", "pause", "resume", "clear"]))
    def states(self, who, what):
        sleeve = self.sleeves[who]
        try:
            if what == "close":
                answer = self.desk.close(sleeve, MARKET, by="ann")
                self.carry(answer if isinstance(answer, (list, tuple)) else ())
            elif what.startswith("kill"):
                self.carry(self.desk.kill(sleeve, flatten="flatten" in what, by="ann"))
            elif what == "revive":
                self.carry(self.desk.revive(sleeve, by="ann", why="again"))
            elif what == "clear":
                sleeve.clear(by="ann", why="looked")
            else:
                getattr(sleeve, what)(by="ann")
        except VaultError:
            pass

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
        self.desk = reopened(self.desk, snapshot=snapshot, most_leverage=self.leverage)
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
        if self.untold:
            proof = self.desk.check()
        else:
            positions = {"SOL-PERP": Position(MARKET, self.base, self.money)}
            proof = self.desk.check({"USDC": Amount(self.cash, USDC)}, positions=positions)
        assert proof.holds, str(proof)

    @invariant()
    def margin_stands_behind_contracts_and_nothing_else(self):
        if not hasattr(self, "desk"):
            return
        for sleeve in self.sleeves:
            margin, cost = sleeve.margin_units(MARKET), abs(sleeve.open_cost_units(MARKET))
            assert 0 <= margin <= -(-cost // 10)
            if not sleeve.position_units(MARKET):
                assert cost == 0

    @invariant()
    def no_sleeve_is_paid_out_of_another_ones_profit(self):
        """What sleeves made sums to what the venue's position made: nothing is made by slicing it."""
        if not hasattr(self, "desk") or self.untold:
            return
        made = sum(s.realized.units - s.fees.units + s.funding.units - s.open_cost_units(MARKET) for s in self.sleeves)
        settled = sum(s.realized.units - s.fees.units + s.funding.units - s.unsettled_units(MARKET) for s in self.sleeves)
        assert made == self.money + settled

    @invariant()
    def a_sweep_takes_settled_profit_only(self):
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

    def teardown(self):
        if hasattr(self, "desk"):
            proof = self.desk.check(deep=True)
            assert proof.holds, str(proof)
            self.desk.mark(self.desk.books.now + 1)
            for sleeve, fold in zip(self.sleeves, self.folds, strict=True):
                waterfall = self.desk.explain(sleeve)
                assert waterfall.exact
                assert waterfall.end == sleeve.equity(self.desk.marks())
                assert (fold.balance, fold.funding) == (sleeve.balance.units, sleeve.funding.units)


RUNS = int(os.environ.get("SLEEVES_LAW_RUNS", "500"))
TestPerps = Perps.TestCase
TestPerps.settings = settings(max_examples=RUNS, stateful_step_count=40, deadline=None)
