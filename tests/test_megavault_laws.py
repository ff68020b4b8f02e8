"""The laws of a pool, under one machine: investors come and leave while its sub-vaults win, lose, freeze and are taken back.

The sub-vaults trade through a real desk: two of them a coin, one a perpetual. The venue here is a model of its own, with its
own coins; strangers send money to its wallet, transfers of clients are refused or come late, and the journal may fail at
any record. Nothing of it survives a kill but the journal.

    the price of a share never falls by somebody who comes or leaves, nor does anybody else's claim
    nobody takes out more than he put in while prices stand still
    the price of what was said before is what is then done, and refused is refused with nothing changed
"""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from helpers import Puppet
from sleeves import BTC, FLASH, QUIET, SOL, USD, Books, CoreVault, Desk, Instrument, Megavault, Place, Side, Treasury
from sleeves.errors import JournalError, VaultError
from sleeves.facts import Settled, Transferred, TransferRefused
from sleeves.journal import Memory
from sleeves.journals import SQLite
from sleeves.ledger import EntryKind
from sleeves.market import DAY, HOUR, SECOND, Kind
from sleeves.money import Amount, Rounding
from sleeves.orders import CancelOrder, Fill, Liquidity, SubmitOrder, Transfer
from sleeves.shares import Fees, ShareError, Terms, price_of
from sleeves.state import State
from sleeves.status import Hold, Status
from standing import assert_stands, ledger_of
from strategies import law

BTCUSD = Instrument("BTC/USD", base=BTC, quote=USD, tick="0.01", lot="0.0001", min_notional="1")
PERP = Instrument("SOL-PERP", base=SOL, quote=USD, tick="0.01", lot="0.01", kind=Kind.PERP)
SUBS = ("spot", "flash", "perp")
MARKETS = {"spot": BTCUSD, "flash": BTCUSD, "perp": PERP}
WHO = ("ann", "bob", "cyd", "mia")
BEGIN = 1_700_000_000 * SECOND
YEAR = 365 * DAY

monies = st.one_of(st.integers(1, 2_000), st.integers(1, USD("5000").units), st.integers(1, USD("5000").units))
parts = st.one_of(st.sampled_from([1, 500_000, 999_999, 1_000_000]), st.integers(1, 1_000_000))


def said_of(pool, at, marks=None):
    """All that a pool says of itself: two that stand alike say the same."""
    names = sorted({*pool.investors(), *WHO})
    try:
        price = pool.price(at=at, marks=marks)
    except ShareError as error:
        price = error.rule
    return {
        "total": pool.total,
        "price": price,
        "investors": pool.investors(),
        "shares": {who: (pool.shares(who), pool.free_shares(who), pool.basis(who), pool.core.client_money(who)) for who in names},
        "bound": {who: (pool.locks(who), pool.notices(who)) for who in names},
        "subs": pool.sub_vaults(at=at, marks=marks),
        "claims": {name: pool.claims(name) for name in pool.core.sleeves},
        "terms": pool.terms_at(at),
        "issues": pool.issues(),
        "said": pool._said,
        "ledger": ledger_of(pool.books.ledger),
        "standing": {name: (one.own_status, one.latches) for name, one in pool.core.sleeves.items()},
    }


class Pool(RuleBasedStateMachine):
    @initialize(
        virtual=st.sampled_from([0, 1, 1_000, 1_000]),
        management=st.sampled_from([0, 0, 20_000, 300_000]),
        performance=st.sampled_from([0, 0, 200_000]),
        hurdle=st.sampled_from([0, 50_000]),
        notice=st.sampled_from([0, 0, 2 * DAY]),
        first_loss=st.sampled_from(["", "mia", "cyd"]),
        founded=st.booleans(),
        stored=st.sampled_from([False, False, False, True]),
        reserve=st.sampled_from([None, None, "10%"]),
        lively=st.sampled_from([True, True, True, False]),
    )
    def open(self, virtual, management, performance, hurdle, notice, first_loss, founded, stored, reserve, lively):
        self.folder = tempfile.TemporaryDirectory() if stored else None
        books = Books(SQLite.open(Path(self.folder.name) / "pool", anchor=None)) if stored else Books()
        self.now = BEGIN
        begin = "500" if founded else "0"
        self.vault = CoreVault(USD, total=begin, tradeable=begin if reserve is None else "0", reserve=reserve, books=books, at=BEGIN)
        self.sleeves = {n: self.vault.sleeve(n, FLASH if n == "flash" else QUIET) for n in SUBS}
        self.desk = Desk(self.vault)
        self.engines = {name: Puppet(MARKETS[name], f"puppet-{name}") for name in SUBS}
        for name, engine in self.engines.items():
            self.desk.assign(engine, to=self.sleeves[name])
        fees = Fees(management, performance, hurdle)
        terms = Terms(virtual=virtual, fees=fees, manager="mia", notice_ns=notice, first_loss=first_loss)
        self.pool = Megavault(self.vault, terms=terms, marks=self.desk.marks, founder="ann" if founded else "", at=BEGIN)
        self.reserve = reserve
        self.prices = {"BTC/USD": 1_000_000, "SOL-PERP": 15_000}
        self.coins = {"USD": USD(begin).units, "BTC": 0}
        self.perp = [0, 0]  # what the venue nets: money not settled, open cost
        self.base = 0
        self.number = 0
        self.state = State()
        self.asked: list[Transfer] = []
        self.seen = False
        self.pocketed = {}
        self.quote()
        for n, who in enumerate(WHO if lively else ()):
            self.deposits(who, USD("1500").units - n * USD("300.000001").units)
        for name in SUBS if lively else ():
            self.pool.allocate(name, "1000", at=self.now)
            self.a_sub_vault_trades(name, 40, Side.BUY, 7, False)

    # -- the market, the engines and the venue -----------------------------------------------------------------------------------

    def quote(self):
        self.now += SECOND
        for symbol, price in self.prices.items():
            self.carry(self.desk.quote(self.desk.index(BTCUSD if symbol == "BTC/USD" else PERP), self.now, price, price))

    def carry(self, commands):
        for command in commands:
            if isinstance(command, SubmitOrder):
                self.fill(command.order)
            elif isinstance(command, Transfer):
                self.asked.append(command)
            else:
                assert not isinstance(command, CancelOrder), command

    def fill(self, order):
        market, place = order.place.instrument, order.place
        buy, price = place.side is Side.BUY, self.prices[order.place.instrument.symbol]
        cost = market.cost(price, place.qty, Rounding.CEIL if buy else Rounding.FLOOR)
        fee, sign = -(-cost // 1_000), 1 if buy else -1
        self.number += 1
        if market is BTCUSD:
            self.coins["BTC"] += sign * place.qty
            self.coins["USD"] -= sign * cost + fee
        else:
            self.perp[0] -= sign * cost + fee
            self.base += sign * place.qty
        fact = Fill(
            order.id, self.now, market, place.side, place.qty, price, cost, Amount(fee, USD), Liquidity.TAKER, f"t{self.number}", "v"
        )
        self.carry(self.desk.step(fact))

    @rule(name=st.sampled_from(SUBS), part=st.integers(5, 100), side=st.sampled_from(Side), move=st.integers(-150, 150), out=st.booleans())
    def a_sub_vault_trades(self, name, part, side, move, out):
        """In, a move of the price, and out again or not."""
        market = MARKETS[name]
        self.wish(name, market, Side.BUY if market is BTCUSD else side, part)
        self.prices_move(market.symbol, move)
        if out:
            self.close(name)

    def wish(self, name, market, side, part):
        view = self.desk._seats[name].view
        qty = market.round_qty(view.affordable(market) * part // 100)
        if qty > 0:
            self.engines[name].wishes.append(Place(market, side, qty))
            self.quote()

    @rule(name=st.sampled_from(SUBS))
    def close(self, name):
        market = MARKETS[name]
        qty = market.round_qty(abs(self.sleeves[name].position(market).units))
        if qty:
            side = Side.SELL if self.sleeves[name].position(market).units > 0 else Side.BUY
            self.engines[name].wishes.append(Place(market, side, qty, reduce_only=True))
            self.quote()

    @rule(symbol=st.sampled_from(["BTC/USD", "SOL-PERP"]), move=st.integers(-300, 300))
    def prices_move(self, symbol, move):
        self.prices[symbol] = max(100, self.prices[symbol] * (1000 + move) // 1000)
        self.quote()

    @precondition(lambda self: not self.base and self.perp[0])
    @rule()
    def the_venue_settles(self):
        """With nothing open all that was won or lost is cash."""
        units, self.perp[0] = self.perp[0], 0
        self.coins["USD"] += units
        self.number += 1
        self.carry(self.desk.step(Settled(self.now, PERP, units, f"s{self.number}", "v")))

    @rule(days=st.sampled_from([Fraction(1, 24), 1, 3, 40, 200]))
    def time_passes(self, days):
        self.now += int(days * DAY)
        self.quote()

    # -- what the laws are held against --------------------------------------------------------------------------------------------

    def worths(self):
        """(price, the exact claim of each investor), or None where it is not known."""
        try:
            equity = self.pool.equity(at=self.now)
        except ShareError:
            return None
        total = self.pool.total
        price = price_of(total, equity, self.pool.terms) if total else None
        return price, {who: self.pool.shares(who) * price for who in self.pool.investors()} if total else {}, equity

    @contextmanager
    def moving(self, mover):
        """Around one move: what is due as time passes is paid first, so that what is seen is the move's own."""
        self.pool.accrue(at=self.now)
        before = self.worths()
        written = len(self.vault.books.journal)
        mint = said_of(self.pool, self.now)
        try:
            yield
        except (ShareError, VaultError) as error:
            assert len(self.vault.books.journal) == written, f"{error}, and yet something was written"
            assert said_of(self.pool, self.now) == mint, f"{error}, and yet something changed"
            return
        after = self.worths()
        if before is None or after is None:
            return
        price, claims, _ = before
        if price is not None and after[0] is not None and price > 0:
            assert after[0] >= price, f"the price fell by {mover}: {price} -> {after[0]}"
        for who, worth in claims.items():
            if who != mover and worth > 0 and self.pool.total:
                assert after[1].get(who, 0) >= worth, f"{who}'s claim fell by {mover}: {worth} -> {after[1].get(who, 0)}"

    # -- investors -----------------------------------------------------------------------------------------------------------------

    @rule(who=st.sampled_from(WHO), units=monies)
    def deposits(self, who, units):
        with self.moving(who):
            try:
                before = self.pool.preview_deposit(Amount(units, USD), at=self.now)
            except ShareError as error:
                before = error.rule
            try:
                issued = self.pool.deposit(who, Amount(units, USD), at=self.now)
            except ShareError as error:
                assert error.rule == before
                raise
            self.coins["USD"] += units
            assert issued.shares == before > 0
            assert issued.total == self.pool.total
            if not self.orphaned(issued.total - issued.shares):
                assert int(issued.shares * self.pool.price(at=self.now)) <= units

    @rule(who=st.sampled_from(WHO), units=monies, more=st.integers(0, 2))
    def asks_for_more_than_he_is_issued(self, who, units, more):
        with self.moving(who):
            due = self.pool.preview_deposit(Amount(units, USD), at=self.now)
            if more:
                with pytest.raises(ShareError) as raised:
                    self.pool.deposit(who, Amount(units, USD), at_least=due + more, at=self.now)
                assert raised.value.rule == "least"
            else:
                assert self.pool.deposit(who, Amount(units, USD), at_least=due, at=self.now).shares == due
                self.coins["USD"] += units

    def orphaned(self, total):
        """Whether what is there with no shares out is whoever comes next: as on dYdX, where nothing is virtual."""
        return not total and not self.pool.terms.virtual

    def some(self, who, part):
        """So many shares of his free ones, and at least one."""
        return max(1, self.pool.free_shares(who) * part // 1_000_000)

    @rule(who=st.sampled_from(WHO), part=parts, least=st.sampled_from([None, None, "0", "all", "more"]))
    def withdraws(self, who, part, least):
        everything = part == 1_000_000
        with self.moving(who):
            equity, total = self.pool.equity(at=self.now), self.pool.total
            mine, main = self.vault.client_money(who), self.pool.main_units()
            shares = "all" if everything else self.some(who, part)
            seen = self.pool.preview_withdraw(who, shares, at=self.now)
            asked = {None: None, "0": "0", "all": seen.money, "more": Amount(seen.money.units + 1, USD)}[least]
            if least == "more":
                with pytest.raises(ShareError):
                    self.pool.withdraw(who, shares, at_least=asked, at=self.now)
                return
            paid = self.pool.withdraw(who, shares, at_least=asked, at=self.now)
            assert paid == seen, "what was said before is what was done"
            assert self.vault.client_money(who) == mine + paid.money
            assert 0 < paid.money.units <= equity * paid.shares / total
            assert self.pool.equity(at=self.now) == equity - paid.money.units, f"main was {main}"
            assert not everything or not self.pool.free_shares(who)
            if self.pool.total:
                assert self.pool.equity(at=self.now) / self.pool.total >= equity / total

    @rule(units=monies, parts=st.lists(st.integers(1, 999_999), max_size=3), tops=st.lists(monies, max_size=2))
    def a_stranger_comes_and_goes(self, units, parts, tops):
        """However he divides it up, at unchanged prices nobody takes out more than he put in."""
        if self.pool.terms.notice_ns or self.orphaned(self.pool.total):
            return
        self.number += 1
        who, put = f"z{self.number}", 0
        with self.moving(who):
            for money in (units, *tops):
                try:
                    self.pool.deposit(who, Amount(money, USD), at=self.now)
                except ShareError as error:
                    assert error.rule in ("zero_shares", "price", "equity"), error
                    continue
                put += money
                self.coins["USD"] += money
                for part in parts:
                    try:
                        self.pool.withdraw(who, self.some(who, part), at_least="0", at=self.now)
                    except ShareError as error:
                        assert error.rule in ("least", "locked", "short", "owner"), error
                assert self.vault.client_money(who).units <= put
            try:
                self.pool.withdraw(who, "all", at_least="0", at=self.now)
            except ShareError as error:
                assert error.rule in ("least", "short", "shares", "owner", "price", "equity"), error
            assert self.vault.client_money(who).units <= put
            self.pay_out(who)

    def pay_out(self, who):
        mine = self.vault.client_money(who)
        if mine.units:
            self.pool.paid_out(who, mine, at=self.now)
            self.coins["USD"] -= mine.units

    @rule(who=st.sampled_from(WHO))
    def is_paid_by_hand(self, who):
        with self.moving(""):
            self.pay_out(who)

    @rule(who=st.sampled_from(WHO), part=parts)
    def invests(self, who, part):
        units = max(1, self.vault.client_money(who).units * part // 1_000_000)
        with self.moving(who):
            mine = self.vault.client_money(who).units
            self.pool.invest(who, Amount(units, USD), at=self.now)
            assert self.vault.client_money(who).units == mine - units

    @precondition(lambda self: not self.asked)
    @rule(who=st.sampled_from(WHO), units=monies, out=st.booleans())
    def a_transfer_is_asked_for(self, who, units, out):
        with self.moving(""):
            if out:
                units = min(units, self.vault.client_money(who).units)
                self.carry(self.desk.withdraw(self.vault, Amount(units, USD), by=who, client=who, at=self.now))
            else:
                self.carry(self.desk.deposit(self.vault, Amount(units, USD), client=who, at=self.now))
            self.seen = False

    @precondition(lambda self: self.asked and not self.seen)
    @rule()
    def the_wallet_is_looked_at_before_the_venue_tells(self):
        (transfer,) = self.asked
        who = transfer.id.rpartition(":")[2]
        mine, settled = self.vault.client_money(who), self.vault.settled_client_money(who)
        with self.moving(""):
            self.seen = True
            self.coins["USD"] += transfer.amount.units
            self.pool.sweep(Amount(self.coins["USD"], USD), at=self.now)
            came = max(USD.zero, transfer.amount)
            assert self.vault.client_money(who) == mine + came
            assert self.vault.settled_client_money(who) == settled, "what is not told yet cannot be spent"

    @precondition(lambda self: self.asked)
    @rule(refuse=st.booleans())
    def the_venue_tells(self, refuse):
        transfer = self.asked.pop()
        who = transfer.id.rpartition(":")[2]
        mine = self.vault.client_money(who)
        with self.moving(""):
            if refuse and not self.seen:
                self.carry(self.desk.step(TransferRefused(self.now, transfer.id, "no")))
                back = max(USD.zero, -transfer.amount)
                assert self.vault.client_money(who) == mine + back
            else:
                self.coins["USD"] += 0 if self.seen else transfer.amount.units
                self.carry(self.desk.step(Transferred(self.now, transfer.amount, transfer.id, "v")))
                came = USD.zero if self.seen else max(USD.zero, transfer.amount)
                assert self.vault.client_money(who) == mine + came
            assert not self.vault.in_transit.units and not self.vault._expected and not self.vault._observed

    # -- binding -------------------------------------------------------------------------------------------------------------------

    @rule(who=st.sampled_from(WHO), part=parts, hours=st.integers(-1, 60))
    def locks(self, who, part, hours):
        with self.moving(""):
            shares, free = self.some(who, part), self.pool.free_shares(who)
            self.pool.lock(who, shares, self.now + hours * HOUR, at=self.now)
            assert hours > 0 and self.pool.free_shares(who) == free - shares

    @rule(who=st.sampled_from(WHO))
    def unlocks(self, who):
        with self.moving(""):
            due = sum(lock.shares for lock in self.pool.locks(who) if lock.til <= self.now)
            free = self.pool.free_shares(who)
            assert self.pool.unlock(who, at=self.now) == due
            assert self.pool.free_shares(who) == free + due

    @rule(who=st.sampled_from(WHO), part=parts)
    def gives_notice(self, who, part):
        with self.moving(who):
            shares = self.some(who, part)
            notice = self.pool.give_notice(who, shares, at=self.now)
            assert notice.shares == shares and notice.due == self.now + self.pool.terms.notice_ns
            assert notice.worth.units <= shares * self.pool.price(at=self.now)
            assert notice in self.pool.notices(who)

    @rule(who=st.sampled_from(WHO), cancel=st.booleans())
    def uses_a_notice(self, who, cancel):
        for notice in self.pool.notices(who)[:1]:
            with self.moving(who):
                price, worth = self.pool.price(at=self.now), self.pool.holding(who, at=self.now).worth
                if cancel:
                    kept = self.pool.cancel_notice(notice, at=self.now)
                    assert kept <= notice.shares and kept * price <= max(notice.worth.units, notice.shares * price)
                    assert kept == notice.shares or kept * price <= notice.worth.units < (kept + 1) * price
                    if self.pool.shares(who):
                        assert self.pool.holding(who, at=self.now).worth <= worth or kept < notice.shares
                else:
                    paid = self.pool.redeem(notice, at_least="0", at=self.now)
                    assert self.now >= notice.due
                    assert paid.money.units <= min(notice.worth.units, notice.shares * price)
                assert notice.id not in {one.id for one in self.pool.notices(who)}

    @rule(who=st.sampled_from(WHO))
    def is_charged(self, who):
        with self.moving(who):
            basis, price = self.pool.basis(who).units, self.pool.price(at=self.now)
            mine = self.pool.shares(who) - sum(one.shares for one in self.pool.notices(who))
            rate, managers = self.pool.terms.fees.performance_ppm, self.pool.shares("mia")
            fee = self.pool.charge(who, at=self.now)
            gain = max(Fraction(0), mine * price - basis)
            assert fee * price <= gain * rate / 1_000_000
            assert who == "mia" or self.pool.shares("mia") == managers + fee
            assert self.pool.basis(who).units >= basis
            assert self.pool.charge(who, at=self.now) == 0, "the same profit is never charged twice"

    # -- the owner of the books --------------------------------------------------------------------------------------------------------

    @rule(name=st.sampled_from(SUBS), units=monies, back=st.booleans())
    def money_moves_within(self, name, units, back):
        """Main account to sub-vault or back: worth nothing to anybody."""
        with self.moving(""):
            worth = self.worths()
            (self.pool.retrieve if back else self.pool.allocate)(name, Amount(units, USD), at=self.now)
            assert self.worths() == worth

    @rule(units=monies)
    def a_stranger_sends_money(self, units):
        with self.moving(""):
            before = self.worths()
            self.coins["USD"] += units
            if self.asked and not self.seen:
                self.coins["USD"] -= units
                return
            assert self.pool.sweep(Amount(self.coins["USD"], USD), at=self.now).units == units
            after = self.worths()
            assert before is None or after is None or after[2] == before[2] + units

    @rule(name=st.sampled_from(SUBS), to=st.sampled_from([Status.ACTIVE, Status.STAND_BY, Status.CLOSE_ONLY, Status.DEACTIVATED]))
    def is_moved(self, name, to):
        with self.moving(""):
            worth = self.worths()
            assert self.pool.set_status(name, to, by="own", at=self.now) in (to, Status.PAUSED)
            after, frozen = self.worths(), Hold.FROZEN in self.sleeves[name].latches
            assert worth is None or after == worth or (after is None and frozen), "one that is frozen may be closed when empty, and opened"

    @rule(name=st.sampled_from(SUBS), cut=st.sampled_from([None, "0%", "30%", "100%"]))
    def is_frozen(self, name, cut):
        self.pool.accrue(at=self.now)
        before, total = self.worths(), self.pool.total
        first = self.pool.terms.first_loss
        others = {who: self.pool.shares(who) for who in self.pool.investors() if who != first}
        mine = self.pool.shares(first) if first else 0
        try:
            given_up = self.pool.impair(name, cut, by="own", why="the program is frozen", at=self.now)
        except VaultError:
            return
        assert others == {who: self.pool.shares(who) for who in others}, "nobody else gives up a share"
        assert given_up == total - self.pool.total == mine - (self.pool.shares(first) if first else 0)
        after = self.worths()
        if before and after and before[0] and after[0] and given_up and self.pool.shares(first):
            assert after[0] <= before[0], "nobody gains by a loss"
            assert after[0] * (self.pool.total + 1_001) >= before[0] * self.pool.total, "the others' price stays but for a share"

    @rule(name=st.sampled_from(SUBS))
    def is_taken_back(self, name):
        with self.moving(""):
            self.pool.restore(name, by="own", why="well again", at=self.now)
            assert Hold.FROZEN not in self.sleeves[name].latches

    @rule(name=st.sampled_from(SUBS))
    def is_set_apart(self, name):
        if name in self.pocketed or not self.pool.total:
            return
        self.pool.impair(name, by="own", why="frozen", at=self.now)
        try:
            claim = self.pool.side_pocket(name, by="own", why="nobody knows", at=self.now)
        except VaultError:
            return
        self.pocketed[name] = {who: self.pool.shares(who) for who in self.pool.investors()}
        assert self.pool.claims(name) == self.pocketed[name]
        assert claim in self.pool.issues() and not self.sleeves[name].pending_units()

    @precondition(lambda self: self.pocketed)
    @rule(pick=st.randoms(use_true_random=False), part=parts)
    def what_comes_back_is_shared(self, pick, part):
        name = pick.choice(sorted(self.pocketed))
        free = self.sleeves[name].loose_units()
        with self.moving(""):
            mine = {who: self.vault.client_money(who).units for who in self.pocketed[name]}
            main, units = self.pool.main_units(), max(1, free * part // 1_000_000)
            paid = self.pool.distribute(name, Amount(units, USD), by="own", at=self.now)
            claims, all_claims = self.pocketed[name], sum(self.pocketed[name].values())
            assert {who: one.units for who, one in paid.items()} == {who: units * n // all_claims for who, n in claims.items()}
            assert {who: self.vault.client_money(who).units - there for who, there in mine.items()} == {w: p.units for w, p in paid.items()}
            assert self.pool.main_units() == main, "it is paid out of the pocket alone"

    @rule(fees=st.tuples(*[st.sampled_from([0, 10_000, 200_000])] * 3), notice=st.sampled_from([0, DAY, 3 * DAY]))
    def terms_change(self, fees, notice):
        now = self.pool.terms_at(self.now)
        new = Terms(now.virtual, 0, Fees(*fees), "mia", notice, now.price_age_ns, now.first_loss)
        with self.moving(""):
            begins = self.pool.change_terms(new, by="mia", at=self.now)
            here = self.pool.terms_at(self.now)
            assert here.fees.management_ppm <= max(now.fees.management_ppm, new.fees.management_ppm)
            assert here.notice_ns <= now.notice_ns
            assert self.pool.terms_at(begins) == new
            assert begins == self.now or begins >= self.now + 7 * DAY

    # -- faults ------------------------------------------------------------------------------------------------------------------------

    @rule(
        what=st.sampled_from(
            [
                "deposit",
                "withdraw",
                "notice",
                "redeem",
                "cancel",
                "lock",
                "charge",
                "accrue",
                "impair",
                "pocket",
                "share",
                "allocate",
                "terms",
            ]
        ),
        who=st.sampled_from(WHO),
        name=st.sampled_from(SUBS),
    )
    def the_journal_fails(self, what, who, name):
        """Nothing has changed then, whatever it was."""
        journal = self.vault.books.journal
        self.pool.accrue(at=self.now)
        before = said_of(self.pool, self.now)

        def no(*records):
            raise JournalError("the disk is full")

        journal.append = no
        pool, terms = self.pool, self.pool.terms
        notices = pool.notices(who)
        try:
            if what == "deposit":
                pool.deposit(who, "50", at=self.now)
            elif what == "withdraw":
                pool.withdraw(who, self.some(who, 500_000), at_least="0", at=self.now)
            elif what == "notice":
                pool.give_notice(who, self.some(who, 500_000), at=self.now)
            elif what in ("redeem", "cancel"):
                getattr(pool, "redeem" if what == "redeem" else "cancel_notice")(notices[0], at=self.now) if notices else None
            elif what == "lock":
                pool.lock(who, 1, self.now + 1, at=self.now)
            elif what == "charge":
                pool.charge(who, at=self.now)
            elif what == "accrue":
                pool.accrue(at=self.now)
            elif what == "impair":
                pool.impair(name, "10%", by="own", why="so", at=self.now)
            elif what == "pocket":
                pool.side_pocket(name, by="own", why="so", at=self.now)
            elif what == "share":
                pool.distribute(name, by="own", at=self.now)
            elif what == "allocate":
                pool.allocate(name, "1", at=self.now)
            else:
                pool.change_terms(terms, by="mia", at=self.now)
        except (JournalError, VaultError):
            pass
        finally:
            del journal.append
        assert said_of(self.pool, self.now) == before

    @rule(snapshot=st.booleans())
    def the_process_is_killed(self, snapshot):
        before, history = said_of(self.pool, self.now), self.pool.history()
        asked = self.desk.transfers
        if snapshot:
            self.vault.books.snapshot()
        if self.folder is None:
            journal = Memory.read(list(self.vault.books.journal.lines()))
            journal._snapshot = self.vault.books.journal.load()
        else:
            self.vault.books.journal.close()
            journal = SQLite.open(Path(self.folder.name) / "pool", anchor=None)
        (vault,) = Treasury.reopen(Books(journal)).vaults
        alone = Megavault.reopen(vault)
        marks = self.desk.marks()
        assert said_of(alone, self.now, marks) == before, "the pool alone, before there is a desk"
        self.vault, self.pool = vault, alone
        self.sleeves = {name: vault.sleeves[name] for name in SUBS}
        self.desk = Desk(vault)
        for name, engine in self.engines.items():
            self.desk.assign(engine, to=self.sleeves[name])
        self.pool._marks = self.desk.marks
        self.carry(self.desk.recovered(at=self.now))
        assert self.desk.transfers == asked
        self.quote()
        assert self.pool.history() == history

    # -- the laws ------------------------------------------------------------------------------------------------------------------------

    @invariant()
    def shares_are_in_somebodys_hands(self):
        if not hasattr(self, "pool"):
            return
        self.pool.check()
        pool = self.pool
        assert pool.total == sum(pool.shares(who) for who in pool.investors()) >= 0
        for who in pool.investors():
            bound = sum(one.shares for one in (*pool.locks(who), *pool.notices(who)))
            assert pool.shares(who) == pool.free_shares(who) + bound

    @invariant()
    def the_books_hold_with_every_coin_on_the_wallet(self):
        if not hasattr(self, "pool"):
            return
        assert not self.desk.faults, self.desk.faults
        proof = self.desk.check({"USD": Amount(self.coins["USD"], USD), "BTC": Amount(self.coins["BTC"], BTC)})
        assert proof.holds, str(proof)

    @invariant()
    def shares_are_never_worth_more_than_the_pool(self):
        if not hasattr(self, "pool"):
            return
        known = self.worths()
        if known is None or not self.pool.total:
            return
        price, claims, equity = known
        assert price * self.pool.total <= equity
        assert sum(claims.values()) <= max(equity, 0) or price < 0
        holdings = [self.pool.holding(who, at=self.now) for who in claims]
        assert sum(one.worth.units for one in holdings) <= max(0, equity)
        assert all(0 <= one.withdrawable.units <= one.worth.units for one in holdings)
        sample = self.pool.sample(at=self.now)
        assert sample.worth == {one.name: one.worth for one in holdings} and sample.price == price

    @invariant()
    def all_that_is_idle_can_be_put_to_work(self):
        """However many came and left: Tradeable is never in the way of what is there."""
        if not hasattr(self, "pool") or self.reserve is not None:
            return
        promised = self.vault.allocated_units() + self.vault.earmarked_units()
        assert self.vault.tradeable_units() >= promised + self.vault.idle_units()

    @invariant()
    def the_journal_says_where_the_pool_stands(self):
        if not hasattr(self, "pool"):
            return
        for record in self.vault.books.journal.after(self.state.count):
            self.state.apply(record)
        assert self.state.pools == {self.pool.owner: self.pool._said}
        assert_stands(self.desk, self.state)

    def teardown(self):
        if not hasattr(self, "pool"):
            return
        proof = self.desk.check(deep=True)
        assert proof.holds, str(proof)
        moves = self.pool.history()
        assert sum(move.shares for move in moves if move.kind in (EntryKind.MINT, EntryKind.REDEEM)) == self.pool.total
        assert sum(move.shares for move in moves if move.kind is EntryKind.BIND) == 0
        if self.folder is not None:
            self.vault.books.journal.close()
            self.folder.cleanup()


RUNS = int(os.environ.get("SLEEVES_LAW_RUNS", "60"))
TestPool = Pool.TestCase
TestPool.settings = settings(max_examples=RUNS, stateful_step_count=40, deadline=None)


# -- laws of whole stories -----------------------------------------------------------------------------------------------------------


def standing(virtual, gift, *brought):
    """A pool of Ann, Bob and Cyd, who brought so much, with what a stranger gave (below zero: lost)."""
    vault = CoreVault(USD, total="0", at=BEGIN)
    pool = Megavault(vault, terms=Terms(virtual=virtual), at=BEGIN)
    for who, units in zip(WHO, brought, strict=False):
        pool.deposit(who, Amount(units, USD))
    total = sum(brought) + gift
    (pool.sweep if gift > 0 else vault.observe_balance)(Amount(total, USD))
    return vault, pool


moves = st.lists(st.tuples(st.sampled_from(["ann", "bob"]), st.booleans(), st.integers(1, 10**6)), min_size=2, max_size=5)
brought = st.tuples(*[st.integers(10**6, 10**10)] * 3)


@law
@given(st.sampled_from([0, 1, 1_000]), brought, st.integers(-900_000, 10**10), moves, st.randoms(use_true_random=False))
def test_in_whichever_order_several_move_at_one_price_each_comes_to_the_same_within_rounding(virtual, brought, gift, moves, dice):
    ends = []
    other = list(moves)
    dice.shuffle(other)
    for order in (moves, other):
        vault, pool = standing(virtual, gift, *brought)
        price = pool.price()
        steps = 0
        for who, into, part in order:
            units, shares = brought[0] * part // 10**6 + 1, max(1, brought[0] // 7 * part // 10**6)
            try:
                if into:
                    pool.deposit(who, Amount(units, USD))
                else:
                    pool.withdraw(who, min(shares, pool.free_shares(who)))
            except ShareError as error:
                assert error.rule in ("zero_shares", "least", "shares", "owner"), error
                return
            steps += 1
        ends.append({who: int(pool.shares(who) * (pool.price() or 0)) + vault.client_money(who).units for who in WHO[:3]})
        assert (pool.price() or price) >= price
    # a unit, or what a share is worth, each step; and the virtual part, which is nobody's
    slack = (steps + 1) * (2 + int(price * 2)) + int(virtual * (price + 1)) * 2
    assert all(abs(ends[0][who] - ends[1][who]) <= slack for who in WHO[:3]), (ends, slack)


@law
@given(st.sampled_from([0, 1_000]), brought, st.fractions(0, 1), st.permutations(WHO[:3]))
def test_a_loss_is_borne_alike_by_all_shares_whoever_leaves_first(virtual, brought, lost, order):
    """And nobody has an advantage of running: per share all are paid the same, but for a unit."""
    vault, pool = standing(virtual, -int(sum(brought) * lost), *brought)
    equity, paid = pool.equity(), {}
    for who in order:
        shares = pool.shares(who)
        try:
            paid[who] = Fraction(pool.withdraw(who, "all").money.units, shares)
        except ShareError as error:
            assert error.rule in ("least", "equity"), error
            paid[who] = Fraction(0)
    fair = equity / sum(brought)
    for who in order:
        assert paid[who] <= fair + Fraction(2, brought[WHO.index(who)]) or paid[who] == 0, "the first is paid no more than his part"
        assert abs(paid[who] - fair) * brought[WHO.index(who)] <= 3 + virtual * (1 + fair), (paid, fair)


@law
@given(st.integers(1, 300_000), st.lists(st.integers(1, 10**6), min_size=1, max_size=12), st.integers(10**9, 10**15))
def test_a_years_fee_is_no_more_than_its_rate_in_however_many_parts(rate, parts, units):
    vault = CoreVault(USD, total="0", at=BEGIN)
    pool = Megavault(vault, terms=Terms(virtual=0, fees=Fees(management_ppm=rate)), at=BEGIN)
    pool.deposit("ann", Amount(units, USD), at=BEGIN)
    whole, now = sum(parts), 0
    for part in parts:
        now += part
        pool.accrue(at=BEGIN + YEAR * now // whole)
    taken, most = Fraction(pool.shares("manager"), pool.total), Fraction(rate, 1_000_000)
    assert most - most * most / 2 - Fraction(2 * len(parts), units) <= taken <= most


@law
@given(st.lists(st.integers(-900, 900), min_size=1, max_size=8), st.integers(0, 999_999))
def test_all_performance_fees_together_are_no_more_than_the_rate_of_the_highest_profit(moves, rate):
    vault = CoreVault(USD, total="0", at=BEGIN)
    pool = Megavault(vault, terms=Terms(virtual=0, fees=Fees(performance_ppm=rate)), at=BEGIN)
    pool.deposit("ann", "1000")
    paid, highest, basis = Fraction(0), Fraction(0), 0
    for move in moves:
        vault.observe_balance(Amount(vault.coins.units * (1000 + move) // 1000, USD))
        highest = max(highest, pool.shares("ann") * pool.price() + paid - USD("1000").units)
        price = pool.price()
        paid += pool.charge("ann") * price
        assert pool.basis("ann").units >= basis, "the mark never falls"
        basis = pool.basis("ann").units
        assert paid <= highest * rate / 1_000_000 + len(moves)
