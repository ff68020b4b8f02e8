"""The laws of the books for bundles, coins bought here and sold there, one coin for another, and trades inside: one machine.

The venue is a model of its own: one account's coins, one netted contract, orders that fill in parts, are rejected or
canceled, and answers that are lost. All of it is told late and twice. The desk is killed at any moment. Coins that are
sold must be there, at this venue: that no sleeve ever sells what it does not have is one of the laws.
"""

from __future__ import annotations

import contextlib
import os
from fractions import Fraction

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from helpers import Puppet
from sleeves import FLASH, QUIET, SOL, USDC, Asset, Bundle, CoreVault, Desk, Instrument, Place, Side
from sleeves.errors import VaultError
from sleeves.journal import Memory
from sleeves.market import SECOND, Kind
from sleeves.money import Amount, Rounding
from sleeves.orders import Canceled, CancelOrder, Fill, Liquidity, Position, Rejected, SettlePnl, SubmitOrder, Unanswered
from sleeves.records import Alert, Bundled, BundleStatus, BundleUpdate, Crossed, Placed
from sleeves.state import State
from standing import assert_stands, reopened

LST = Asset("LST", 9)
HERE = Instrument("SOL-A/USDC", base=SOL, quote=USDC, tick="0.01", lot="0.01")
THERE = Instrument("SOL-B/USDC", base=SOL, quote=USDC, tick="0.01", lot="0.01")
PERP = Instrument("SOL-PERP", base=SOL, quote=USDC, tick="0.01", lot="0.01", kind=Kind.PERP)
TOKEN = Instrument("LST/USDC", base=LST, quote=USDC, tick="0.01", lot="0.01")
CROSS = Instrument("LST/SOL", base=LST, quote=SOL, tick="0.0001", lot="0.01")
MARKETS = (HERE, THERE, PERP, TOKEN, CROSS)
NAMES = ("quiet", "flash")


class Killed(BaseException):
    """The process dies here."""


class Watcher(Puppet):
    def __init__(self, name):
        super().__init__(HERE, name)
        self.watches = MARKETS


class Together(RuleBasedStateMachine):
    @initialize(policy=st.sampled_from(["allow", "refuse", "cross"]))
    def open(self, policy):
        self.policy = policy
        self.vault = CoreVault(USDC, total="20000", tradeable="16000")
        self.sleeves = [self.vault.sleeve(n, p, allocate="6000") for n, p in zip(NAMES, (QUIET, FLASH), strict=True)]
        self.desk = Desk(self.vault, self_trade=policy)
        self.engines = [Watcher(f"puppet-{n}") for n in NAMES]
        for engine, sleeve in zip(self.engines, self.sleeves, strict=True):
            self.desk.assign(engine, to=sleeve)
        self.index = {market.symbol: self.desk.index(market) for market in MARKETS}
        self.now = 1_700_000_000 * SECOND
        self.prices = {"SOL-A/USDC": 15_000, "SOL-B/USDC": 15_010, "SOL-PERP": 15_020, "LST/USDC": 16_500, "LST/SOL": 11_000}
        self.coins = {"USDC": USDC("20000").units, "SOL": 0, "LST": 0}
        self.base = self.money = 0
        self.live: dict[str, list] = {}
        self.untold: list = []
        self.told: list = []
        self.facts = 0
        self.state = State()
        for market in MARKETS:
            self.quote(market)

    # -- the market and the engines ----------------------------------------------------------------------------------

    def quote(self, market=HERE):
        self.now += SECOND
        price = self.prices[market.symbol]
        self.carry(self.desk.quote(self.index[market.symbol], self.now, price, price + 2 * market.tick_units))

    def carry(self, commands):
        for command in commands:
            if isinstance(command, SubmitOrder):
                assert command.order.id not in self.live
                self.live[command.order.id] = [command.order, 0]
            elif isinstance(command, CancelOrder) and command.order.id in self.live:
                del self.live[command.order.id]
                self.untold.append(Canceled(command.order.id, self.now, "requested"))
            elif isinstance(command, SettlePnl):
                pass

    @rule(market=st.sampled_from(MARKETS), move=st.integers(-30, 30))
    def price_moves(self, market, move):
        self.prices[market.symbol] = max(100, self.prices[market.symbol] * (1000 + move) // 1000)
        self.quote(market)

    def most(self, who, market, side):
        view = self.desk._seats[NAMES[who]].view
        if market.contract is not None:
            return view.affordable(market)
        if side is Side.SELL:
            return view.sellable(market)
        if market == CROSS:
            return view.spendable(CROSS) * 10**4 // self.prices["LST/SOL"] * 98 // 100
        return view.affordable(market)

    @rule(who=st.integers(0, 1), market=st.sampled_from(MARKETS), side=st.sampled_from(Side), part=st.integers(5, 110))
    def wish(self, who, market, side, part):
        qty = market.round_qty(self.most(who, market, side) * part // 100)
        if qty > 0:
            self.engines[who].wishes.append(Place(market, side, qty))
            self.quote()

    @rule(sides=st.permutations(list(Side)), parts=st.tuples(st.integers(5, 60), st.integers(5, 60)), market=st.sampled_from([HERE, PERP]))
    def both_want_to_trade(self, sides, parts, market):
        """In one step, often against each other."""
        for who, (side, part) in enumerate(zip(sides, parts, strict=True)):
            qty = market.round_qty(self.most(who, market, side) * part // 100)
            if qty > 0:
                self.engines[who].wishes.append(Place(market, side, qty))
        self.quote(HERE)

    @rule(
        who=st.integers(0, 1),
        kind=st.sampled_from(["carry", "exit", "spread", "triangle", "back"]),
        part=st.integers(5, 60),
        tries=st.integers(1, 2),
        rollback=st.booleans(),
    )
    def wish_together(self, who, kind, part, tries, rollback):
        qty = HERE.round_qty(self.most(who, HERE, Side.BUY) * part // 100)
        sold = HERE.round_qty(self.most(who, HERE, Side.SELL))
        token = qty * 10**4 // self.prices["LST/SOL"] * 97 // 100 // TOKEN.lot_units * TOKEN.lot_units
        legs = {
            "carry": (Place(PERP, Side.SELL, qty), Place(HERE, Side.BUY, qty)) if qty else (),
            "exit": (Place(PERP, Side.BUY, sold), Place(THERE, Side.SELL, sold)) if sold else (),
            "spread": (Place(HERE, Side.BUY, qty), Place(THERE, Side.SELL, qty)) if qty else (),
            "triangle": (Place(HERE, Side.BUY, qty), Place(CROSS, Side.BUY, token), Place(TOKEN, Side.SELL, token)) if token else (),
            "back": (Place(TOKEN, Side.BUY, token), Place(CROSS, Side.SELL, token)) if token else (),
        }[kind]
        if legs:
            self.engines[who].wishes.append(Bundle(legs, tries=tries, rollback=rollback))
            self.quote()

    # -- the venue ---------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.live)
    @rule(
        pick=st.randoms(use_true_random=False),
        part=st.sampled_from([30, 100, 100, 100]),
        fee_ppm=st.sampled_from([0, 2500, 4000]),
        at=st.booleans(),
    )
    def venue_fills(self, pick, part, fee_ppm, at):
        order_id = pick.choice(sorted(self.live))
        order, filled = self.live[order_id]
        place, market, buy = order.place, order.place.instrument, order.place.side is Side.BUY
        qty = max(market.lot_units, market.round_qty((place.qty - filled) * part // 100))
        price = place.limit or self.prices[market.symbol]
        if order.worst:
            price = min(price, order.worst) if buy else max(price, order.worst)
        cost = market.cost(price, qty, Rounding.CEIL if buy else Rounding.FLOOR)
        fee = Amount(-(-cost * fee_ppm // 1_000_000), market.quote)
        sign = 1 if buy else -1
        if market == PERP:
            self.base += sign * qty
            self.money -= sign * cost + fee.units
        else:
            self.coins[market.base.code] += sign * qty
            self.coins[market.quote.code] -= sign * cost + fee.units
            assert min(self.coins.values()) >= 0, f"{order} was sent without the coins for it: {self.coins}"
        self.live[order_id][1] += qty
        if self.live[order_id][1] >= place.qty:
            del self.live[order_id]
        self.facts += 1
        self.untold.append(Fill(order_id, self.now, market, place.side, qty, price, cost, fee, Liquidity.TAKER, f"n{self.facts}", "v"))
        if at:
            self.tell_all()

    @precondition(lambda self: self.live)
    @rule(pick=st.randoms(use_true_random=False))
    def venue_drops(self, pick):
        order_id = pick.choice(sorted(self.live))
        filled = self.live.pop(order_id)[1]
        self.untold.append((Canceled if filled else Rejected)(order_id, self.now, "no"))

    @precondition(lambda self: self.live)
    @rule(pick=st.randoms(use_true_random=False))
    def an_answer_is_lost(self, pick):
        self.carry(self.desk.step(Unanswered(pick.choice(sorted(self.live)), self.now, "no answer")))

    @precondition(lambda self: self.untold)
    @rule(copies=st.integers(1, 2))
    def venue_tells(self, copies):
        event = self.untold.pop(0)
        self.told.append(event)
        for _ in range(copies):
            self.carry(self.desk.step(event))

    def tell_all(self):
        while self.untold:
            self.told.append(self.untold.pop(0))
            self.carry(self.desk.step(self.told[-1]))

    @precondition(lambda self: len(self.untold) > 1)
    @rule(pick=st.randoms(use_true_random=False))
    def the_wire_loses_the_order(self, pick):
        pick.shuffle(self.untold)

    @precondition(lambda self: self.told)
    @rule(pick=st.randoms(use_true_random=False))
    def venue_repeats_itself(self, pick):
        written = len(self.vault.books.journal)
        self.carry(self.desk.step(pick.choice(self.told)))
        assert len(self.vault.books.journal) == written

    # -- the user ----------------------------------------------------------------------------------------------------

    @rule(who=st.integers(0, 1), what=st.sampled_from(["kill", "kill and flatten", "revive", "pause", "resume", "resume", "clear"]))
    def states(self, who, what):
        sleeve = self.sleeves[who]
        try:
            if what.startswith("kill"):
                self.carry(self.desk.kill(sleeve, flatten="flatten" in what, by="ann"))
            elif what == "revive":
                self.carry(self.desk.revive(sleeve, by="ann", why="again"))
            elif what == "clear":
                sleeve.clear(by="ann", why="looked")
            elif what == "pause":
                self.carry(self.desk.pause(sleeve, by="ann"))
            else:
                sleeve.resume(by="ann")
        except VaultError:
            pass

    @rule(who=st.integers(0, 1), units=st.integers(1, 1500), back=st.booleans())
    def allocate_or_reclaim(self, who, units, back):
        """Also while a bundle is under way: what is allocated then waits for the next buy."""
        try:
            (self.vault.reclaim if back else self.vault.allocate)(self.sleeves[who], str(units))
        except VaultError:
            pass

    @rule()
    def a_human_gives_up_what_never_arrived(self):
        coming = {event.order_id for event in self.untold}
        for order in self.desk.in_doubt:
            if order.id not in self.live and order.id not in coming:
                self.carry(self.desk.give_up(order.id, by="ann", why="it never arrived"))

    @rule(snapshot=st.booleans())
    def the_process_is_killed(self, snapshot):
        """Nothing survives but the journal's lines. Orders that the venue does not find are of unknown fate."""
        self.desk = reopened(self.desk, snapshot=snapshot, self_trade=self.policy)
        self.vault = self.desk.treasury.vaults[0]
        self.sleeves = [self.vault.sleeves[name] for name in NAMES]
        self.index = {market.symbol: self.desk.index(market) for market in MARKETS}
        coming = {event.order_id for event in self.untold}
        for order in self.desk.open_orders():
            if order.id not in self.live and order.id not in coming:
                self.carry(self.desk.step(Unanswered(order.id, self.now, "not found")))
        self.carry(self.desk.recovered(at=self.now))
        for market in MARKETS:
            self.quote(market)

    @rule(posts=st.integers(0, 8), who=st.integers(0, 1), part=st.integers(5, 60), three=st.booleans(), snapshot=st.booleans())
    def the_process_is_killed_between_two_posts(self, posts, who, part, three, snapshot):
        """A bundle and a sale against it are wished for, and the process dies at one of the posts that follow: what it
        was to send is never sent."""
        qty = HERE.round_qty(self.most(who, HERE, Side.BUY) * part // 100)
        sold = HERE.round_qty(self.most(1 - who, HERE, Side.SELL) // 2)
        if qty:
            legs = (Place(HERE, Side.BUY, qty), Place(PERP, Side.SELL, qty))
            self.engines[who].wishes.append(Bundle((*legs, Place(THERE, Side.SELL, qty)) if three else legs))
        if sold > 0:
            self.engines[1 - who].wishes.append(Place(HERE, Side.SELL, sold))
        journal, left = self.desk.books.journal, [posts]

        def append(*records):
            if not left[0]:
                raise Killed
            left[0] -= 1
            Memory.append(journal, *records)

        journal.append = append
        self.now += SECOND
        price = self.prices["SOL-A/USDC"]
        with contextlib.suppress(Killed):
            if self.untold:
                self.desk.step(self.untold[0])
            self.desk.quote(self.index["SOL-A/USDC"], self.now, price, price + 2 * HERE.tick_units)
        del journal.append
        for engine in self.engines:
            engine.wishes = []
        self.the_process_is_killed(snapshot)

    # -- the laws ----------------------------------------------------------------------------------------------------

    @invariant()
    def the_journal_says_where_the_desk_stands(self):
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
        holdings = {
            code: Amount(units, asset) for asset in (USDC, SOL, LST) for code, units in self.coins.items() if code == asset.code and units
        }
        holdings["USDC"] = Amount(self.coins["USDC"], USDC)
        positions = {"SOL-PERP": Position(PERP, self.base, self.money)}
        proof = self.desk.check() if self.untold else self.desk.check(holdings, positions=positions)
        assert proof.holds, str(proof)

    @invariant()
    def nobody_owes_coins(self):
        """No sleeve has less than nothing of a coin, whatever of a bundle failed."""
        if not hasattr(self, "desk"):
            return
        for sleeve in self.sleeves:
            for coin in (SOL, LST):
                assert sleeve.free_units(coin) >= 0
                assert sum(qty for _, qty in sleeve.kept(coin)) == sleeve.free_units(coin) + sleeve.held_units(coin)

    @invariant()
    def a_bundle_ends_matched_or_said_to_be_not(self):
        """What is done matches to the lot; what stands alone was told; what is set aside is free again."""
        if not hasattr(self, "desk"):
            return
        bundles: dict[str, Bundled] = {}
        alerts = []
        for record in self.desk.books.journal:
            if isinstance(record, Bundled):
                bundles[record.id] = record
            elif isinstance(record, Alert):
                alerts.append(record)
            elif isinstance(record, BundleUpdate) and record.status.over:
                one = bundles.pop(record.id)
                if record.status is BundleStatus.LEFT and "being closed" not in record.why:
                    assert any(alert.code == "lone_leg" and one.id in alert.text for alert in alerts)
                held = [units for (_, role, of), _, units in self.desk.books.ledger.cells(one.sleeve) if role == "held" and of == one.id]
                assert not any(held)
        assert bundles.keys() == self.desk._bundles.flights.keys()

    @invariant()
    def what_is_over_is_matched_to_the_lot_or_told(self):
        """Worked out anew from orders and fills. Coins that a swap has spent are no lone leg: they are not there any more."""
        if not hasattr(self, "desk"):
            return
        bundles: dict[str, Bundled] = {}
        orders: dict[str, tuple[str, int, int]] = {}
        filled: dict[str, list[int]] = {}
        over: dict[str, BundleStatus] = {}
        told = ""
        for record in self.desk.books.journal:
            if isinstance(record, Bundled):
                bundles[record.id], filled[record.id] = record, [0] * len(record.bundle.legs)
            elif isinstance(record, Placed) and record.bundle:
                side = bundles[record.bundle].bundle.legs[record.leg].side
                orders[record.order.id] = record.bundle, record.leg, 1 if record.order.place.side is side else -1
            elif isinstance(record, Fill) and record.order_id in orders:
                name, leg, sign = orders[record.order_id]
                filled[name][leg] += sign * record.qty
            elif isinstance(record, BundleUpdate) and record.status.over:
                over[record.id] = record.status
            elif isinstance(record, Alert) and record.code in ("lone_leg", "overfill"):
                told += record.text + " "
        late = {orders[name][0] for name in orders if f"|{name} is of a leg" in told or f"{name} filled" in told}
        for name, status in over.items():
            if status is BundleStatus.LEFT or name in late:
                continue
            legs = bundles[name].bundle.legs
            part = min(Fraction(1), *(Fraction(max(0, qty), leg.qty) for qty, leg in zip(filled[name], legs, strict=True)))
            for qty, leg in zip(filled[name], legs, strict=True):
                bought = leg.instrument.contract is None and leg.side is Side.BUY
                assert bought or qty - int(leg.qty * part) < leg.instrument.lot_units, (name, status, filled[name])

    @invariant()
    def a_trade_inside_moves_nothing_of_the_whole(self):
        if not hasattr(self, "desk"):
            return
        for record in self.desk.books.journal:
            if isinstance(record, Crossed):
                fills = [
                    self.desk.books.fact(f"inside|{record.instrument.symbol}|{record.buy}x{record.sell}|{name}")
                    for name in (record.buy, record.sell)
                ]
                assert [fill.side for fill in fills] == [Side.BUY, Side.SELL]
                assert fills[0].cost == fills[1].cost
                assert not fills[0].fee.units
                assert fills[0].qty == fills[1].qty == record.qty

    def teardown(self):
        if hasattr(self, "desk"):
            proof = self.desk.check(deep=True)
            assert proof.holds, str(proof)
            self.desk.mark(self.desk.books.now + 1)
            for sleeve in self.sleeves:
                waterfall = self.desk.explain(sleeve)
                assert waterfall.exact
                assert waterfall.end == sleeve.equity(self.desk.marks())


RUNS = int(os.environ.get("SLEEVES_LAW_RUNS", "300"))
TestTogether = Together.TestCase
TestTogether.settings = settings(max_examples=RUNS, stateful_step_count=40, deadline=None)
