"""The lane: what a replay does most, in one place and in plain integers. Orders of coins at market that fill whole.

A desk takes an order through its gates, holds the money, journals both and sends it; the simulated exchange takes it, and
fills it at the next row's first price; the desk books the fill. For one order at market that nothing stands in the way of, all
of it comes to a few sums. The lane does those sums, changes the ledger and the exchange's account by them at once, and notes
them in a `Daybook`, which writes the very same records when somebody reads the journal.

What it is not sure of it leaves alone: then the desk and the exchange do it in full, from where the lane stands. So an order
takes the lane only where every core gate would let it pass and no other gate sits there, and its fill only where it is whole,
within its worst price and overdraws nothing. Whatever else happens (limits, stops, bundles, refusals, cancels, contracts,
sweeps) happens at the desk. A replay through the lane and one past it write the same journal, record for record, and
`tests/sim/test_lane.py` holds them side by side.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from .. import booking
from ..blotter import Working
from ..booking import Allowance, released_cost
from ..daybook import Daybook, mark_of
from ..desk import Desk, Raised
from ..gates import CORE
from ..inside import SelfTrade
from ..journal import Memory
from ..ledger import Account, Role
from ..ledger import _Cell as Cell
from ..market import Instrument
from ..money import PPM
from ..orders import Command, Place, Side
from ..protocols import Plan
from ..seat import NEVER, Seat
from ..state import MOST_SENT
from .exchange import Exchange
from .models import FeeIn, Fees, Slippage
from .tape import Tape

__all__ = ["BLOCK", "Lane", "carry", "drain"]

BLOCK = 16_384
"""Rows between two looks at progress and faults."""

Row = tuple[int, int, int, int, int, int, int]
"""(at, open, high, low, close, volume in lots, end)"""


def drain(desk: Desk, exchange: Exchange, now: int) -> None:
    """Tell the desk what has happened; what it commands reaches the venue at the time to which that was played."""
    outbox = exchange.outbox
    while outbox:
        commands = desk.step(outbox.popleft())
        if commands:
            carry(commands, exchange, now)


def carry(commands: Sequence[Command], exchange: Exchange, now: int) -> None:
    """Have the venue do what the desk commands."""
    for command in commands:
        exchange.carry(command, now)


class _Track:
    """One seat on the lane: its accounts in the ledger, and what does not change from order to order."""

    __slots__ = ("daybook", "fees", "free", "free_base", "kept", "keys", "pnl", "seat", "shares", "sound", "trading", "trading_base")

    def __init__(self, seat: Seat, market: Instrument, venue: str) -> None:
        name, base, quote = seat.sleeve.name, market.base.code, market.quote.code
        self.seat = seat
        free, trading = Account(name, Role.FREE), Account(name, Role.TRADING, market.symbol)
        fees, pnl = Account(name, Role.FEES, market.symbol), Account(name, Role.PNL, market.symbol)
        self.keys = ((free, quote), (free, base), (trading, quote), (trading, base), (fees, quote), (pnl, quote))
        self.free: Cell | None = None
        self.free_base: Cell | None = None
        self.trading: Cell | None = None
        self.trading_base: Cell | None = None
        self.fees: Cell | None = None
        self.pnl: Cell | None = None
        self.shares = bool(seat.sleeve.policy.share_ppm)
        self.sound = -1
        """How many records the desk itself had written when nothing was found to stand in this seat's way."""
        self.daybook = Daybook(name, market, seat.engine.name, venue)
        self.kept = False
        """Whether the books know of that daybook."""

    def look(self, cells: Mapping[tuple[Account, str], Cell]) -> None:
        """Find the accounts that are open by now; the desk opens them, with the first entry that touches each."""
        found = [cell if (cell := cells.get(key)) is not None and not cell.rare else None for key in self.keys]
        self.free, self.free_base, self.trading, self.trading_base, self.fees, self.pnl = found


class _Noted:
    """An order that is noted and not filled yet, and what the exchange would hold for it."""

    __slots__ = ("at", "code", "held", "n", "place", "track", "venue", "worst")

    def __init__(self, track: _Track, n: int, at: int, place: Place, worst: int | None, held: int, code: str, venue: int) -> None:
        self.track, self.n, self.at, self.place, self.worst = track, n, at, place, worst
        self.held, self.code, self.venue = held, code, venue


class _Trip:
    """One seat's way along a tape: the row that its plan names next, and how far its memory has come."""

    __slots__ = ("asked", "memory", "next", "plan", "seat", "since", "view")

    def __init__(self, seat: Seat, plan: Plan[Any]) -> None:
        self.seat, self.plan, self.memory, self.view = seat, plan, seat.memory, seat.view
        self.since = 0
        """The rows before this one are in the memory."""
        self.asked = -1
        """The last row that is known as one at which the engine was asked, or would have been; -1 for none."""
        self.next = plan.next(self.memory, 0, self.view)

    def wake_before(self, row: int, ends: Sequence[int]) -> None:
        """Have the seat's rhythm stand as if its engine had been asked on every row before this one, whenever it was time."""
        every, size = self.seat.every, len(ends)
        if not every:
            return
        asked = self.asked
        while True:
            wake = self.seat.wake if asked < 0 else ends[asked] + every
            due = asked + 1
            if due < size and ends[due] < wake:
                due = bisect_left(ends, wake, due)
            if due >= row:
                break
            asked = due
        self.asked = asked
        if asked >= 0:
            self.seat.wake = ends[asked] + every


class Lane:
    """One market's lane, for the run of a desk over one tape. `of` makes one where there can be one."""

    def __init__(self, desk: Desk, exchange: Exchange) -> None:
        journal = desk.books.journal
        assert isinstance(journal, Memory), "only a journal in memory takes notes"
        self._desk, self._books, self._journal, self._exchange = desk, desk.books, journal, exchange
        self._matcher = exchange.markets[0]
        self._market = self._matcher.instrument
        self._ledger = desk.books.ledger
        self._coins, self._held = self._matcher._coins, self._matcher._held
        self._allowance = desk.allowance
        self._roundings = self._allowance.roundings(self._market)
        rules = self._matcher.rules
        self._taker_ppm, self._venue_ppm = rules.fees.taker_ppm, max(0, rules.fees.taker_ppm, rules.fees.maker_ppm)
        if rules.fees.taken_in is not FeeIn.QUOTE:
            self._venue_ppm = 0
        self._slips = None if type(rules.slippage) is Slippage and not rules.slippage.high_ppm else rules.slippage.fill_price
        self._part = rules.participation_ppm
        self._pending: list[_Noted] = []
        self._noted = 0
        """Records that were noted by this lane."""
        self._index = desk.index(self._market)
        self._book = desk._tables[self._index]
        self._seats = desk._watchers[self._index]
        self._tracks: dict[Seat, _Track] = {}
        for seat in self._seats:
            if len(seat.gates) == len(CORE) and seat.sleeve.asset == self._market.quote and not seat.sleeve.apart:
                self._tracks[seat] = _Track(seat, self._market, exchange.name)
        flexes = any(vault.reserve_rule is not None and vault.reserve_rule.flexes for vault in desk._vaults)
        self._marks = len(desk._boards) == 1 and not flexes and all(len(seat.gates) == len(CORE) for seat in desk._seats.values())
        """Whether a mark is nothing but the price of this market."""

    @classmethod
    def of(cls, desk: Desk, exchange: Exchange) -> Lane | None:
        """A lane for this run, or None where each order has to go the long way."""
        books, matcher = desk.books, exchange.markets[0]
        fees = matcher.rules.fees
        if not exchange.plain or matcher.instrument.contract is not None or type(books.journal) is not Memory:
            return None
        if books.state is not None or books.listeners or books.perpetuals or type(desk.allowance) is not Allowance:
            return None
        if type(fees) is not Fees or (fees.taken_in is not FeeIn.QUOTE and fees.taker_ppm) or matcher.rules.latency.total:
            return None
        if desk._arms or desk._limits or desk._inside.policy is SelfTrade.CROSS or desk.recovering:
            return None
        lane = cls(desk, exchange)
        return lane if lane._tracks and lane._calm() else None

    def _calm(self) -> bool:
        """Whether nothing at the desk waits for a time or a price: then a price only wakes engines."""
        desk = self._desk
        waits = desk._bands or desk._bundles.waiting or desk._bundles.flights or desk._passages.waiting
        return desk._tick_at == NEVER and not waits

    def _sound(self, track: _Track, foreign: int) -> bool:
        """Whether nothing stands in the way of a seat's orders but their size: what the core gates look at besides."""
        desk, books, seat, market = self._desk, self._books, track.seat, self._market
        core, own, there = seat.sleeve.vault, seat.sleeve.account, market.account
        held = seat.flatten_by or seat.fault is not None or not seat.vault.status.may_open
        if held or core.short() or (own != there and (own or there)) or not core.venue_of(market)[1].may_open:
            return False
        if core.unexplained(market.base) or core.unexplained(market.quote) or books.residuals or books.quarantine:
            return False
        if market.symbol in books.mismatched.get(core.wallet, ()) or books.misplaced.get(core.wallet):
            return False
        if core.tradeable_units() < core.allocated_units() + core.earmarked_units() or seat.sleeve.pending_units():
            return False
        if books.listeners or desk._arms or desk._limits or not self._calm():
            return False
        track.look(self._ledger._cells)
        track.sound = foreign
        return True

    # -- an order ----------------------------------------------------------------------------------------------------------

    def take(self, seat: Seat, wishes: object, now: int) -> bool:
        """Take what an engine wishes for at the price that was just shown. False, with nothing done, where the desk has to."""
        track = self._tracks.get(seat)
        if track is None or (type(wishes) is not tuple and type(wishes) is not list) or len(wishes) != 1:
            return False
        place = wishes[0]
        market, matcher, journal = self._market, self._matcher, self._journal
        if type(place) is not Place or (place.instrument is not market and place.instrument != market):
            return False
        if place.limit is not None or place.stop is not None or place.good_til is not None:
            return False
        foreign = len(journal._kept) + journal._more - self._noted
        if track.sound != foreign and not self._sound(track, foreign):
            return False
        sent, qty, price = seat.view._sent, place.qty, matcher.last
        if seat.refusal is not None or matcher._live or (sent and now < sent[-1]):
            return False
        if qty % market.lot_units or qty < market.min_qty_units:
            return False
        times, over = market._times, market._over
        if market.min_notional_units and price * qty * times // over < market.min_notional_units:
            return False
        worst: int | None = None
        if place.side is Side.BUY:
            allowance, tick = self._allowance, market.tick_units
            worst = max(1, price * (PPM + allowance.slippage_ppm) // (PPM * tick)) * tick
            cost = -(-worst * qty * times // over)
            held = cost - (-cost * allowance.fee_ppm // PPM) + self._roundings
            venue, code = cost - (-cost * self._venue_ppm // PPM), market.quote.code
            cell, position, cost_cell = track.free, track.trading_base, track.trading
            if cell is None or held > cell.units or venue > self._coins[code] - self._held[code] or place.reduce_only:
                return False
            if position is None or position.units > 0 or cost_cell is None or cost_cell.units < 0:
                return False
            sent.append(now)
            if len(sent) > MOST_SENT:
                del sent[0]
        else:
            held = venue = qty
            code = market.base.code
            cell, position = track.free_base, track.trading_base
            if cell is None or position is None or qty > cell.units or cell.units > -position.units:
                return False
            if qty > self._coins[code] - self._held[code]:
                return False
        cell.units -= held
        cell.sum.units -= held
        self._held[code] += venue
        seat.wanted = now, (place,)
        seat.counter = n = seat.counter + 1
        journal.note((track.daybook.order, n, now, place, worst, held), 2)
        self._noted += 2
        self._pending.append(_Noted(track, n, now, place, worst, held, code, venue))
        return True

    # -- its fill ----------------------------------------------------------------------------------------------------------

    def fill(self, at: int, price: int, volume: int) -> None:
        """A row's first price: what was ordered is filled, or handed to the desk and the exchange, which then play the row."""
        pending, matcher = self._pending, self._matcher
        if self._part is not None and volume >= 0:
            room = volume * self._part // PPM * self._market.lot_units
            if sum(one.place.qty for one in pending) > room:
                self.hand_over()
                return
        if at > self._books.now:
            self._books.now = at
        while pending:
            if not self._fill(pending[0], at, price):
                self.hand_over()
                return
            del pending[0]
            if at > self._books.last.get(matcher.name, 0):
                self._books.last[matcher.name] = at

    def _fill(self, one: _Noted, at: int, open_: int) -> bool:
        """Fill one order whole, if that is all there is to it."""
        track, place, market = one.track, one.place, self._market
        qty, side, held, price = place.qty, place.side, one.held, open_
        if self._slips is not None:
            price = self._slips(market, side, qty, open_)
        trading, trading_base, free, free_base = track.trading, track.trading_base, track.free, track.free_base
        fees, pnl = track.fees, track.pnl
        if trading is None or trading_base is None or free is None or free_base is None:
            return False
        position, open_cost = -trading_base.units, trading.units
        coins, base, quote = self._coins, market.base.code, market.quote.code
        if side is Side.BUY:
            if one.worst is None or open_ > one.worst or price > one.worst:
                return False
            cost = -(-price * qty * market._times // market._over)
            fee = -(-cost * self._taker_ppm // PPM)
            cash, made = held - cost - fee, 0
            if free.units + cash < 0 or (fee and fees is None):
                return False
            coins[base] += qty
            coins[quote] -= cost + fee
            change, spent = qty, cost
            free_base.units += qty
            free_base.sum.units += qty
        else:
            cost = price * qty * market._times // market._over
            fee = -(-cost * self._taker_ppm // PPM)
            cash = cost - fee
            spent = -(open_cost if qty >= position else released_cost(open_cost, position, qty))
            made = cost + spent
            if free.units + cash < 0 or (fee and fees is None) or (made and pnl is None):
                return False
            coins[base] -= qty
            coins[quote] += cash
            change = -qty
            view = track.seat.view
            if view._last_exit is None or at > view._last_exit:
                view._last_exit = at
        desk = self._desk
        if 0 <= desk._due < at:
            self.mark()
        trading_base.units -= change
        trading_base.sum.units -= change
        trading.units += spent
        trading.sum.units += spent
        free.units += cash
        free.sum.units += cash
        if fee and fees is not None:
            fees.units += fee
            fees.sum.units += fee
        if made and pnl is not None:
            pnl.units -= made
            pnl.sum.units -= made
        for changed in self._ledger._followers:
            changed.add(track.keys[0][0][0])
        self._held[one.code] -= one.venue
        self._books.changes += 1
        self._matcher.trades = trade = self._matcher.trades + 1
        note = (track.daybook.fill, one.n, at, place, price, cost, fee, held, position, open_cost, one.worst, trade, one.at)
        self._journal.note(note, 2)
        self._noted += 2
        if not track.kept:
            self._books.daybooks.append(track.daybook)
            track.kept = True
        track.daybook.note_fill(note)
        if track.shares and side is Side.SELL and track.seat.sleeve.is_flat():
            track.seat.sleeve.vault.sweep(track.seat.sleeve, ref=track.daybook.written(note).key, at=at)
        return True

    def hand_over(self) -> None:
        """Have the desk and the exchange hold what is noted and not filled, as if they had taken it themselves."""
        for one in self._pending:
            track, seat, market = one.track, one.track.seat, self._market
            order = track.daybook.ordered(one.n, one.at, one.place, one.worst)
            buys = one.place.side is Side.BUY
            self._held[one.code] -= one.venue
            cell = track.free if buys else track.free_base
            assert cell is not None, "it was held from there"
            cell.units += one.held
            cell.sum.units += one.held
            asset = market.quote if buys else market.base
            self._books.ledger.apply(booking.hold(order.sleeve, order.id, asset, one.held, at=one.at, by=seat.engine.name))
            self._desk._blotter.add(Working(order, seat, asset, not buys))
            self._matcher.submit(order, one.at)
        self._pending.clear()

    # -- marks -------------------------------------------------------------------------------------------------------------

    def mark(self) -> None:
        """Make the mark that is due, at the price that is shown."""
        desk, book = self._desk, self._book
        if not self._marks or not book.bid or any(seat.repeats for seat in desk._seats.values()):
            desk.mark(desk._due)
            return
        due, every = desk._due, desk.mark_every
        if due > self._books.now:
            self._books.now = due
        desk._due, desk._mark_at = -1, due - due % every + every
        self._journal.note((mark_of, due, self._market.symbol, book.mid, book.at), 1)
        self._noted += 1

    def _mark_if_over(self, now: int) -> None:
        desk = self._desk
        if 0 <= desk._due < now:
            self.mark()
        if desk._due < 0 and now >= desk._mark_at:
            desk._due = now

    # -- row by row --------------------------------------------------------------------------------------------------------

    def play(self, rows: Iterable[Row], *, volumes: bool) -> int | None:
        """Play rows one after the other, as `Desk.quote` and `Matcher.advance` do; returns the end of the last one."""
        desk, books, matcher, book, seats = self._desk, self._books, self._matcher, self._book, self._seats
        pending, lot, calm, take, now = self._pending, self._market.lot_units, self._calm(), self.take, None
        for at, open_, high, low, close, volume, now in rows:
            if pending:
                self.fill(at, open_, volume if volumes else -1)
            if low <= matcher.low_trigger or high >= matcher.high_trigger:
                matcher.advance(at, now - at, open_, high, low, close, volume if volumes else -1)
                if matcher.outbox:
                    drain(desk, self._exchange, now)
                    calm = self._calm()
            else:
                matcher.last = close
            if not calm:
                self._quote(now, close, volume * lot if volumes else -1)
                calm = self._calm()
                continue
            if now >= desk._mark_at:
                self._mark_if_over(now)
            book.before = book.at or now
            book.at = now
            book.bid = book.ask = close
            book.volume = volume * lot if volumes else -1
            commands: list[Command] | None = None
            for seat in seats:
                if now < seat.wake:
                    continue
                if seat.every:
                    seat.wake = now + seat.every
                view = seat.view
                view.now = now
                view.book = book
                try:
                    wishes: object = seat.decide(seat.memory, view)
                except Exception as error:
                    wishes = Raised(error)
                if wishes is not None and (commands is not None or not take(seat, wishes, now)):
                    if pending:
                        self.hand_over()
                    books.now = desk._priced = now
                    commands = desk._wished(seat, wishes, now, commands)
                    calm = False
            if not calm:
                if commands:
                    carry(commands, self._exchange, now)
                    if matcher.outbox:
                        drain(desk, self._exchange, now)
                calm = self._calm()
        if now is not None:
            books.now = max(books.now, now)
            desk._priced = max(desk._priced, now)
        return now

    def _quote(self, now: int, close: int, volume: int) -> None:
        """A price that more than engines wait for."""
        if self._pending:
            self.hand_over()
        commands = self._desk.quote(self._index, now, close, close, volume)
        if commands:
            carry(commands, self._exchange, now)
            if self._matcher.outbox:
                drain(self._desk, self._exchange, now)

    # -- by plan -----------------------------------------------------------------------------------------------------------

    def plans(self, tape: Tape) -> list[_Trip] | None:
        """How every engine here would go along a tape, or None where one has to be asked on every row.

        Plans begin with fresh memories at the first price of all.
        """
        desk = self._desk
        if not self._marks or any(book.bid for book in desk._tables):
            return None
        found: list[tuple[Seat, Plan[Any]]] = []
        for seat in self._seats:
            make = getattr(seat.engine, "plan", None)
            plan = make(tape) if make is not None and seat.decide == seat.engine.decide and not seat.wake else None
            if plan is None:
                return None
            found.append((seat, plan))
        return [_Trip(seat, plan) for seat, plan in found]

    def visit(self, tape: Tape, trips: Sequence[_Trip]) -> Iterator[int]:
        """Play a tape by going only where something can happen. Yields, now and then, how many rows were done since it last did.

        What happens between, marks, is noted in its place; at the end all stands as if each row had been played.
        """
        desk, books, matcher, book, pending = self._desk, self._books, self._matcher, self._book, self._pending
        ends, opens, closes, volumes, begins = tape.ends(), tape.open, tape.close, tape.volume, tape.at
        size, lot, known = len(tape), self._market.lot_units, tape.has_volume
        marks = self._mark_rows(ends)
        row = told = 0
        calm = self._calm()
        while True:
            stop = min([trip.next for trip in trips])
            if not calm:
                stop = row
            elif matcher._live:
                stop = tape.first_beyond(row, matcher.low_trigger, matcher.high_trigger, min(stop, size))
            stop = min(stop, size)
            if stop > row:
                self._pass(row, stop, tape, ends, marks)
            if stop == size:
                break
            now, close = ends[stop], closes[stop]
            volume = volumes[stop] * lot if known else -1
            if matcher._live and (tape.low[stop] <= matcher.low_trigger or tape.high[stop] >= matcher.high_trigger):
                begin = begins[stop]
                matcher.advance(begin, now - begin, opens[stop], tape.high[stop], tape.low[stop], close, volumes[stop] if known else -1)
                if matcher.outbox:
                    drain(desk, self._exchange, now)
                    calm = self._calm()
                    for trip in trips:
                        trip.next = trip.plan.next(trip.memory, stop, trip.view)
            else:
                matcher.last = close
            row = stop + 1
            if not calm:
                for trip in trips:
                    trip.wake_before(stop, ends)
                    trip.plan.seek(trip.memory, trip.since, stop)
                    trip.since = row
                self._quote(now, close, volume)
                calm = self._calm()
                for trip in trips:
                    trip.next = trip.plan.next(trip.memory, row, trip.view)
                continue
            if now >= desk._mark_at:
                self._mark_if_over(now)
            book.before = book.at or now
            book.at = now
            book.bid = book.ask = close
            book.volume = volume
            books.now = desk._priced = now
            commands: list[Command] | None = None
            changed = False
            for trip in trips:
                if trip.next <= stop:
                    commands, foreign = self._ask(trip, stop, now, commands)
                    changed = changed or foreign
            if changed:
                if commands:
                    carry(commands, self._exchange, now)
                    if matcher.outbox:
                        drain(desk, self._exchange, now)
                calm = self._calm()
                for trip in trips:
                    trip.next = trip.plan.next(trip.memory, row, trip.view)
            if pending and row < size:
                self.fill(begins[row], opens[row], volumes[row] if known else -1)
                for trip in trips:
                    trip.next = trip.plan.next(trip.memory, row, trip.view)
            if row - told >= BLOCK:
                yield row - told
                told = row
        for trip in trips:
            trip.plan.seek(trip.memory, trip.since, size)
            trip.wake_before(size, ends)
        yield size - told

    def _ask(self, trip: _Trip, row: int, now: int, commands: list[Command] | None) -> tuple[list[Command] | None, bool]:
        """Ask one engine at a row that its plan names. Returns the commands so far, and whether the desk itself had to act."""
        seat, memory, view = trip.seat, trip.memory, trip.view
        if seat.wake == NEVER:
            trip.next = NEVER
            return commands, False
        trip.plan.seek(memory, trip.since, row)
        trip.since = row + 1
        if seat.every:
            seat.wake, trip.asked = now + seat.every, row
        view.now = now
        view.book = self._book
        try:
            wishes: object = seat.decide(memory, view)
        except Exception as error:
            wishes = Raised(error)
        if wishes is None:
            trip.next = trip.plan.next(memory, row + 1, view)
            return commands, False
        if commands is None and self.take(seat, wishes, now):
            trip.next = NEVER  # until the fill
            return commands, False
        self.hand_over()
        return self._desk._wished(seat, wishes, now, commands), True

    def _mark_rows(self, ends: Sequence[int]) -> list[int]:
        """The rows at whose ends marks fall due."""
        every, at, rows, row = self._desk.mark_every, self._desk._mark_at, [], 0
        while (row := bisect_left(ends, at, row)) < len(ends):
            rows.append(row)
            at = ends[row] - ends[row] % every + every
            row += 1
        rows.append(len(ends))
        return rows

    def _pass(self, row: int, stop: int, tape: Tape, ends: Sequence[int], marks: list[int]) -> None:
        """Go by rows at which nobody has to be asked: what falls due on the way is marked, and the last price is shown."""
        desk, books = self._desk, self._books
        if desk._due >= 0:
            self.mark()
        last = stop - 1
        place = bisect_left(marks, row)
        if marks[place] <= last:
            closes, symbol, every = tape.close, self._market.symbol, desk.mark_every
            repeats = any(seat.repeats for seat in desk._seats.values())
            while marks[place] < last:
                mark = marks[place]
                due = ends[mark]
                if repeats:  # how often a refusal was repeated is written with the first mark
                    self._show(mark, tape, ends)
                    desk._due, repeats = due, False
                    self.mark()
                else:
                    self._journal.note((mark_of, due, symbol, closes[mark], due), 1)
                    self._noted += 1
                    desk._mark_at = due - due % every + every
                place += 1
            if marks[place] == last:
                desk._due = ends[last]
        self._show(last, tape, ends)
        books.now = desk._priced = ends[last]
        self._matcher.last = tape.close[last]

    def _show(self, row: int, tape: Tape, ends: Sequence[int]) -> None:
        """Show the price of a row that was gone by."""
        book, now = self._book, ends[row]
        book.before = ends[row - 1] if row else book.at or now
        book.at = now
        book.bid = book.ask = tape.close[row]
        book.volume = tape.volume[row] * self._market.lot_units if tape.has_volume else -1
