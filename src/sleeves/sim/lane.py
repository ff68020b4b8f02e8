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
from ..daybook import Daybook, Note, mark_of
from ..desk import Desk, Raised
from ..gates import CORE
from ..inside import SelfTrade
from ..journal import Memory
from ..ledger import Account, Role
from ..ledger import _Cell as Cell
from ..ledger import _Sum as LedgerSum
from ..market import Instrument
from ..money import PPM, Asset
from ..orders import Command, Place, Side
from ..protocols import Plan
from ..seat import NEVER, Seat
from ..state import MOST_SENT
from .exchange import Exchange
from .models import FeeIn, Fees, Slippage
from .tape import Tape
from .trips import Trip, plan_of

__all__ = ["BLOCK", "Lane", "carry", "drain"]

BLOCK = 16_384
"""Rows between two looks at progress and faults."""

_Figures = tuple[int, int, int, int, int, int, int, int]
_Ordered = tuple[Any, int, int | None, int, int]
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


NONE = Cell(Account("", Role.FREE), Asset("NONE", 0), "NONE", LedgerSum())
"""Stands for an account that is not open yet."""


class _Track:
    """One seat on the lane: its accounts in the ledger, and what does not change from order to order."""

    __slots__ = (
        "daybook",
        "fees",
        "fills",
        "free",
        "free_base",
        "keys",
        "pnl",
        "ready",
        "seat",
        "shares",
        "sound",
        "trading",
        "trading_base",
        "writes",
    )

    def __init__(self, seat: Seat, market: Instrument, venue: str) -> None:
        name, base, quote = seat.sleeve.name, market.base.code, market.quote.code
        self.seat = seat
        free, trading = Account(name, Role.FREE), Account(name, Role.TRADING, market.symbol)
        fees, pnl = Account(name, Role.FEES, market.symbol), Account(name, Role.PNL, market.symbol)
        self.keys = ((free, quote), (free, base), (trading, quote), (trading, base), (fees, quote), (pnl, quote))
        self.ready = False
        """Whether its money and its position have accounts by now: the desk opens them, with the first entry that touches each."""
        self.free = self.free_base = self.trading = self.trading_base = self.fees = self.pnl = NONE
        self.shares = bool(seat.sleeve.policy.share_ppm)
        self.sound = -1
        """How many records the desk itself had written when nothing was found to stand in this seat's way."""
        self.daybook = _daybook(seat, market, venue)
        self.writes, self.fills = self.daybook.both, self.daybook.fills

    def look(self, cells: Mapping[tuple[Account, str], Cell]) -> None:
        """Find the accounts that are open by now."""
        found = [cell if (cell := cells.get(key)) is not None and not cell.rare else NONE for key in self.keys]
        self.free, self.free_base, self.trading, self.trading_base, self.fees, self.pnl = found
        self.ready = NONE not in found[:4]


def _daybook(seat: Seat, market: Instrument, venue: str) -> Daybook:
    """The daybook of a seat: the one that it wrote into before, on another tape, where it did."""
    one = Daybook(seat.sleeve.name, market, seat.engine.name, venue)
    return next((known for known in seat.sleeve.books.daybooks if known.same(one)), one)


class _Noted:
    """An order that is noted and not filled yet, and what the exchange would hold for it."""

    __slots__ = ("at", "code", "held", "n", "place", "track", "venue", "worst")

    def __init__(self, track: _Track, n: int, at: int, place: Place, worst: int | None, held: int, code: str, venue: int) -> None:
        self.track, self.n, self.at, self.place, self.worst = track, n, at, place, worst
        self.held, self.code, self.venue = held, code, venue


class Lane:
    """One market's lane, for the run of a desk over one tape. `of` makes one where there can be one."""

    def __init__(self, desk: Desk, exchange: Exchange) -> None:
        journal = desk.books.journal
        assert isinstance(journal, Memory), "only a journal in memory takes notes"
        self._desk, self._books, self._journal, self._exchange = desk, desk.books, journal, exchange
        self._listeners = desk.books.listeners
        """Whoever is told of each record: while there is one, none is only noted."""
        self._matcher = exchange.markets[0]
        self._market = self._matcher.instrument
        self._ledger, self._followers = desk.books.ledger, desk.books.ledger._followers
        self._coins, self._held = self._matcher._coins, self._matcher._held
        self._allowance = desk.allowance
        self._roundings, self._worst_ppm = self._allowance.roundings(self._market), PPM + self._allowance.slippage_ppm
        rules = self._matcher.rules
        self._taker_ppm, self._venue_ppm = rules.fees.taker_ppm, max(0, rules.fees.taker_ppm, rules.fees.maker_ppm)
        self._slips = None if type(rules.slippage) is Slippage and not rules.slippage.high_ppm else rules.slippage.fill_price
        self._part = rules.participation_ppm
        self._pending: list[_Noted] = []
        self.left_at = 0
        """The row at which the run by plan has ended."""
        self._noted = 0
        """Records that were noted by this lane."""
        self._latest = desk.books.last.get(exchange.name, 0)
        """The time of the venue's latest fact that is booked."""
        self._index = desk.index(self._market)
        self._book = desk._tables[self._index]
        self._seats = desk._watchers[self._index]
        self._tracks: dict[Seat, _Track] = {}
        for seat in self._seats:
            if len(seat.gates) == len(CORE) and seat.sleeve.asset == self._market.quote and not seat.sleeve.apart:
                self._tracks[seat] = _Track(seat, self._market, exchange.name)
        self._marks = len(desk._boards) == 1 and all(len(seat.gates) == len(CORE) for seat in desk._seats.values())
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
        if type(fees) is not Fees or fees.taken_in is not FeeIn.QUOTE or matcher.rules.latency.total:
            return None
        if desk._arms or desk._limits or desk._inside.policy is SelfTrade.CROSS or desk.recovering:
            return None
        if any(vault.reserve_rule is not None and vault.reserve_rule.flexes for vault in desk._vaults):
            return None  # a mark sizes it by all that is there, what is held included
        lane = cls(desk, exchange)
        twice = len({id(seat) for seat in lane._seats}) < len(lane._seats)  # an engine that names its market two times
        return lane if lane._tracks and lane._calm() and not twice else None

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
        if track.daybook not in books.daybooks:
            books.daybooks.append(track.daybook)
        return True

    # -- an order ----------------------------------------------------------------------------------------------------------

    def _wish(self, seat: Seat, wishes: object, now: int) -> tuple[_Track, Place] | None:
        """The order at market that an engine wishes for, if that is all it wishes for and nothing but its size is left to look at."""
        track = self._tracks.get(seat)
        if track is None or (type(wishes) is not tuple and type(wishes) is not list) or len(wishes) != 1:
            return None
        place, market, journal = wishes[0], self._market, self._journal
        if type(place) is not Place or (place.instrument is not market and place.instrument != market):
            return None
        if place.limit is not None or place.stop is not None or place.good_til is not None:
            return None
        foreign = len(journal._kept) + journal._more - self._noted
        if self._listeners or (track.sound != foreign and not self._sound(track, foreign)):
            return None
        qty, sent = place.qty, seat.view._sent
        if not track.ready or seat.refusal is not None or self._matcher._live or (sent and now < sent[-1]):
            return None
        if qty % market.lot_units or qty < market.min_qty_units:
            return None
        least = market.min_notional_units
        return None if least and self._matcher.last * qty * market._times // market._over < least else (track, place)

    def _holds(self, track: _Track, place: Place) -> tuple[int | None, int, int] | None:
        """The worst price of an order, what its sleeve sets aside for it, and what the exchange does; None where it is not there."""
        qty, market = place.qty, self._market
        if place.side is Side.BUY:
            allowance, tick, over = self._allowance, market.tick_units, market._over
            worst = max(1, self._matcher.last * (PPM + allowance.slippage_ppm) // (PPM * tick)) * tick
            cost = -(-worst * qty * market._times // over)
            held, venue = cost - (-cost * allowance.fee_ppm // PPM) + self._roundings, cost - (-cost * self._venue_ppm // PPM)
            code = market.quote.code
            if held > track.free.units or venue > self._coins[code] - self._held[code] or place.reduce_only:
                return None
            return None if track.trading_base.units > 0 or track.trading.units < 0 else (worst, held, venue)
        free, code = track.free_base.units, market.base.code
        if qty > free or free > -track.trading_base.units:
            return None
        return None if qty > self._coins[code] - self._held[code] else (None, qty, qty)

    def take(self, seat: Seat, wishes: object, now: int) -> bool:
        """Take what an engine wishes for at the price that was just shown. False, with nothing done, where the desk has to."""
        found = self._wish(seat, wishes, now)
        terms = None if found is None else self._holds(*found)
        if found is None or terms is None:
            return False
        (track, place), (worst, held, venue) = found, terms
        buys = place.side is Side.BUY
        cell, code = (track.free, self._market.quote.code) if buys else (track.free_base, self._market.base.code)
        cell.units -= held
        cell.sum.units -= held
        self._held[code] += venue
        n = self._sent(seat, place, now)
        self._journal.note((track.daybook.order, n, now, place, worst, held), 2)
        self._noted += 2
        self._pending.append(_Noted(track, n, now, place, worst, held, code, venue))
        return True

    @staticmethod
    def _sent(seat: Seat, place: Place, now: int) -> int:
        """An order goes out: its number, and what is remembered of it."""
        if place.side is Side.BUY:
            sent = seat.view._sent
            sent.append(now)
            if len(sent) > MOST_SENT:
                del sent[0]
        seat.wanted = now, (place,)
        seat.counter = n = seat.counter + 1
        return n

    def deal(self, seat: Seat, wishes: object, now: int, at: int, first: int) -> bool:
        """Take what the only engine here wishes for, and fill it whole at the next row's begin and first price, which are known.

        False, with nothing done, where it has to be taken by `take`, or by the desk. This is `take` and `fill` in one, written
        out, since a run by plan does little else.
        """
        if self._pending or 0 <= self._desk._due < at or (type(wishes) is not tuple and type(wishes) is not list) or len(wishes) != 1:
            return False
        place, market, journal, matcher, slips = wishes[0], self._market, self._journal, self._matcher, self._slips
        track = self._tracks.get(seat)
        if type(place) is not Place or track is None or (place.instrument is not market and place.instrument != market):
            return False
        foreign = len(journal._kept) + journal._more - self._noted
        if (track.sound != foreign and not self._sound(track, foreign)) or not track.ready or self._part is not None or self._listeners:
            return False
        if place.limit is not None or place.stop is not None or place.good_til is not None or matcher._live:
            return False
        qty, view = place.qty, seat.view
        sent = view._sent
        if qty % market.lot_units or qty < market.min_qty_units or seat.refusal is not None or (sent and now < sent[-1]):
            return False
        shown, times, over, coins = matcher.last, market._times, market._over, self._coins
        least = market.min_notional_units
        if least and shown * qty * times // over < least:
            return False
        free, free_base, trading, trading_base = track.free, track.free_base, track.trading, track.trading_base
        position, open_cost = -trading_base.units, trading.units
        base, quote = market.base.code, market.quote.code
        buys = place.side is Side.BUY
        price = first if slips is None else slips(market, place.side, qty, first)
        worst: int | None = None
        if buys:
            tick = market.tick_units
            worst = shown * self._worst_ppm // (PPM * tick) * tick or tick
            most = -(-worst * qty * times // over)
            held = most - (-most * self._allowance.fee_ppm // PPM) + self._roundings
            spent = cost = -(-price * qty * times // over)
            fee = -(-cost * self._taker_ppm // PPM)
            cash, made = held - cost - fee, 0
            if place.reduce_only or position < 0 or open_cost < 0 or held > free.units or price > worst or first > worst:
                return False
            if free.units - held + cash < 0 or most - (-most * self._venue_ppm // PPM) > coins[quote] - self._held[quote]:
                return False
        else:
            held = qty
            cost = price * qty * times // over
            fee = -(-cost * self._taker_ppm // PPM)
            spent = -(open_cost if qty >= position else released_cost(open_cost, position, qty))
            cash, made = cost - fee, cost + spent
            if qty > free_base.units or free_base.units > position or qty > coins[base] - self._held[base]:
                return False
            if free.units + cash < 0 or (made and track.pnl is NONE):
                return False
        if fee:
            if track.fees is NONE:
                return False
            track.fees.units += fee
            track.fees.sum.units += fee
        if buys:
            sent.append(now)
            if len(sent) > MOST_SENT:
                del sent[0]
            change, money = qty, -cost - fee
        else:
            change, money = -qty, cash
            if view._last_exit is None or at > view._last_exit:
                view._last_exit = at
            if made:
                track.pnl.units -= made
                track.pnl.sum.units -= made
        free.units += money
        free.sum.units += money
        free_base.units += change
        free_base.sum.units += change
        trading.units += spent
        trading.sum.units += spent
        trading_base.units -= change
        trading_base.sum.units -= change
        coins[base] += change
        coins[quote] += money
        seat.wanted = now, (place,)
        seat.counter = n = seat.counter + 1
        matcher.trades = trade = matcher.trades + 1
        note = (track.writes, n, at, place, price, cost, fee, held, position, open_cost, worst, trade, now)
        journal._kept.append(note)
        journal._more += 3
        journal._brief = True
        self._noted += 4
        track.fills.append(note)
        self._books.changes += 1
        self._latest = max(at, self._latest)
        if self._followers:
            self._tell(track)
        if track.shares and not buys:
            self._sweep(track, note, at)
        return True

    # -- its fill ----------------------------------------------------------------------------------------------------------

    def fill(self, at: int, price: int, volume: int) -> None:
        """A row's first price: what was ordered is filled, or handed to the desk and the exchange, which then play the row."""
        pending = self._pending
        if self._listeners:
            self.hand_over()
            return
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

    def _fill(self, one: _Noted, at: int, price: int) -> bool:
        """Fill one order whole, if that is all there is to it."""
        track, desk = one.track, self._desk
        figures = self._figures(track, one.place, one.worst, one.held, price, track.free.units)
        if figures is None:
            return False
        if 0 <= desk._due < at:
            self.mark()
        self._held[one.code] -= one.venue
        self._book_fill(track, one.place, figures, at, (track.daybook.fill, one.n, one.worst, one.held, one.at), 2)
        return True

    def _figures(self, track: _Track, place: Place, worst: int | None, held: int, open_: int, left: int) -> _Figures | None:
        """What filling an order whole at a row's first price comes to; None where that is not all, or would overdraw something.

        `left` is what is free before it. (price, cost, fee, what comes back to FREE, what goes to the open cost, profit, and
        position and open cost before).
        """
        market, qty, price = self._market, place.qty, open_
        if self._slips is not None:
            price = self._slips(market, place.side, qty, open_)
        position, open_cost = -track.trading_base.units, track.trading.units
        if place.side is Side.BUY:
            if worst is None or open_ > worst or price > worst:
                return None
            spent = cost = -(-price * qty * market._times // market._over)
            fee = -(-cost * self._taker_ppm // PPM)
            cash, made = held - cost - fee, 0
        else:
            cost = price * qty * market._times // market._over
            fee = -(-cost * self._taker_ppm // PPM)
            spent = -(open_cost if qty >= position else released_cost(open_cost, position, qty))
            cash, made = cost - fee, cost + spent
            if made and track.pnl is NONE:
                return None
        if (fee and track.fees is NONE) or left + cash < 0:
            return None
        return price, cost, fee, cash, spent, made, position, open_cost

    def _book_fill(self, track: _Track, place: Place, figures: _Figures, at: int, noted: _Ordered, count: int) -> None:
        """Move the figures of a fill in the ledger and at the exchange, and note it with what it follows from.

        `noted` is what writes the note out, the order's number, its worst price, what it held, and when it was ordered.
        """
        price, cost, fee, cash, spent, made, position, open_cost = figures
        trading, trading_base, free, free_base = track.trading, track.trading_base, track.free, track.free_base
        qty, coins, market = place.qty, self._coins, self._market
        if place.side is Side.BUY:
            free_base.units += qty
            free_base.sum.units += qty
            trading_base.units -= qty
            trading_base.sum.units -= qty
            coins[market.base.code] += qty
            coins[market.quote.code] -= cost + fee
        else:
            trading_base.units += qty
            trading_base.sum.units += qty
            coins[market.base.code] -= qty
            coins[market.quote.code] += cash
            view = track.seat.view
            if view._last_exit is None or at > view._last_exit:
                view._last_exit = at
        trading.units += spent
        trading.sum.units += spent
        free.units += cash
        free.sum.units += cash
        if fee:
            fees = track.fees
            fees.units += fee
            fees.sum.units += fee
        if made:
            pnl = track.pnl
            pnl.units -= made
            pnl.sum.units -= made
        self._tell(track)
        books, matcher = self._books, self._matcher
        books.changes += 1
        matcher.trades = trade = matcher.trades + 1
        writes, n, worst, held, ordered = noted
        note = (writes, n, at, place, price, cost, fee, held, position, open_cost, worst, trade, ordered)
        self._journal.note(note, count)
        self._noted += count
        track.fills.append(note)
        self._latest = max(at, self._latest)
        if track.shares and place.side is Side.SELL:
            self._sweep(track, note, at)

    def leave(self) -> None:
        """A block of rows is over, or the run was broken off: whoever looks on finds what is noted and not filled at the desk and
        at the exchange, and the desk knows how late it is."""
        now, desk = self._book.at, self._desk
        self._books.now = max(self._books.now, now)
        desk._priced = max(desk._priced, now)
        self._date()
        self.hand_over()

    def _date(self) -> None:
        """The books know the time of the venue's latest fact."""
        last, name = self._books.last, self._matcher.name
        if self._latest > last.get(name, 0):
            last[name] = self._latest

    def _tell(self, track: _Track) -> None:
        """Whoever follows the ledger is told that a sleeve's accounts have moved."""
        for changed in self._followers:
            changed.add(track.seat.sleeve.name)

    def _sweep(self, track: _Track, note: Note, at: int) -> None:
        """After a close that leaves it flat, a sleeve that shares its profit does so."""
        sleeve, books = track.seat.sleeve, self._books
        if sleeve.is_flat():
            books.now = max(books.now, at)
            sleeve.vault.sweep(sleeve, ref=track.daybook.written(note).key, at=at)

    def hand_over(self) -> None:
        """Have the desk and the exchange hold what is noted and not filled, as if they had taken it themselves."""
        for one in self._pending:
            track, seat, market = one.track, one.track.seat, self._market
            order = track.daybook.ordered(one.n, one.at, one.place, one.worst)
            buys = one.place.side is Side.BUY
            self._held[one.code] -= one.venue
            cell = track.free if buys else track.free_base
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
        if not self._marks or self._listeners or not book.bid or any(seat.repeats for seat in desk._seats.values()):
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
        if len(seats) == 1 and not seats[0].every:
            return self._play_one(seats[0], rows, volumes=volumes)
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
            self._date()
        return now

    def _play_one(self, seat: Seat, rows: Iterable[Row], *, volumes: bool) -> int | None:
        """The same for one engine that is asked at each price: what a row comes to where nothing happens is all that is done."""
        desk, matcher, book, view, memory = self._desk, self._matcher, self._book, seat.view, seat.memory
        pending, lot, take, decide, now = self._pending, self._market.lot_units, self.take, seat.decide, None
        low_trigger, high_trigger, mark_at, seen = matcher.low_trigger, matcher.high_trigger, desk._mark_at, book.at
        calm, book.volume, view.book = self._calm() and seat.wake != NEVER, -1, book
        for at, open_, high, low, close, volume, now in rows:
            if pending:
                self.fill(at, open_, volume if volumes else -1)
                low_trigger, high_trigger, mark_at = matcher.low_trigger, matcher.high_trigger, desk._mark_at
            if low <= low_trigger or high >= high_trigger:
                matcher.advance(at, now - at, open_, high, low, close, volume if volumes else -1)
                if matcher.outbox:
                    drain(desk, self._exchange, now)
                    calm, memory = self._calm() and seat.wake != NEVER, seat.memory
                low_trigger, high_trigger, mark_at = matcher.low_trigger, matcher.high_trigger, desk._mark_at
            if not calm:
                matcher.last = close
                self._quote(now, close, volume * lot if volumes else -1)
                low_trigger, high_trigger, mark_at, seen = matcher.low_trigger, matcher.high_trigger, desk._mark_at, now
                calm, memory, view.book = self._calm() and seat.wake != NEVER, seat.memory, book
                continue
            if now >= mark_at:
                self._mark_if_over(now)
                mark_at = desk._mark_at
            book.before = seen or now
            book.at = view.now = seen = now
            book.bid = book.ask = close
            if volumes:
                book.volume = volume * lot
            try:
                wishes: object = decide(memory, view)
            except Exception as error:
                wishes = Raised(error)
            if wishes is not None:
                matcher.last = close
                if not take(seat, wishes, now):
                    self._wished(seat, wishes, now)
                    low_trigger, high_trigger, mark_at = matcher.low_trigger, matcher.high_trigger, desk._mark_at
                    calm, memory, view.book = self._calm() and seat.wake != NEVER, seat.memory, book
        if now is not None:
            matcher.last = close
            self._books.now = max(self._books.now, now)
            desk._priced = max(desk._priced, now)
            self._date()
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

    def plans(self, tape: Tape) -> list[Trip] | None:
        """How every engine here would go along a tape, or None where one has to be asked on every row.

        Plans begin with fresh memories at the first price of all.
        """
        desk = self._desk
        if not self._marks or any(book.bid for book in desk._tables):
            return None
        found: list[tuple[Seat, Plan[Any]]] = []
        for seat in self._seats:
            plan = None if seat.wake else plan_of(seat, tape)
            if plan is None:
                return None
            found.append((seat, plan))
        return [Trip(seat, plan) for seat, plan in found]

    def visit(self, tape: Tape, trips: Sequence[Trip]) -> Iterator[int]:
        """Play a tape by going only where something can happen. Yields, block by block, how many rows were done.

        What happens between, marks, is noted in its place; at each block's end all stands as if each row had been played.
        `left_at` is where it ended: before the tape's end where somebody has started an engine anew.
        """
        desk, books, matcher, book, pending = self._desk, self._books, self._matcher, self._book, self._pending
        ends, opens, closes, volumes, begins = tape.ends(), tape.open, tape.close, tape.volume, tape.at
        size, lot, known = len(tape), self._market.lot_units, tape.has_volume
        marks = self._mark_rows(ends)
        row, calm, limit = 0, self._calm(), min(size, BLOCK)
        alone = trips[0] if len(trips) == 1 else None
        while True:
            if alone is not None and calm and not matcher._live and not alone.seat.every:
                row, changed = self._stroll(alone, row, limit, tape, ends, marks)
                if changed:
                    calm = self._calm()
            stop = min([trip.next for trip in trips]) if alone is None else alone.next
            if not calm:
                stop = row
            elif matcher._live:
                stop = tape.first_beyond(row, matcher.low_trigger, matcher.high_trigger, min(stop, limit))
            stop = min(stop, limit)
            if stop > row:
                self._pass(row, stop, tape, ends, marks)
                row = stop
            if stop == limit:  # whoever looks on finds all as if each row had been played
                for trip in trips:
                    trip.come_to(stop, ends)
                self.leave()
                yield BLOCK if stop % BLOCK == 0 else stop % BLOCK
                self.left_at = stop
                if stop == size or any(trip.seat.memory is not trip.memory for trip in trips):
                    return  # an engine that was started anew knows nothing of the rows before
                limit, calm = min(size, limit + BLOCK), self._calm()
                for trip in trips:
                    trip.look(stop)
                continue
            now, close = ends[stop], closes[stop]
            volume = volumes[stop] * lot if known else -1
            if matcher._live and (tape.low[stop] <= matcher.low_trigger or tape.high[stop] >= matcher.high_trigger):
                begin = begins[stop]
                matcher.advance(begin, now - begin, opens[stop], tape.high[stop], tape.low[stop], close, volumes[stop] if known else -1)
                if matcher.outbox:
                    drain(desk, self._exchange, now)
                    calm = self._calm()
                    for trip in trips:
                        trip.look(stop)
            else:
                matcher.last = close
            row = stop + 1
            if not calm:
                for trip in trips:
                    trip.come_to(stop, ends)
                    trip.since = row
                self._quote(now, close, volume)
                calm = self._calm()
                for trip in trips:
                    trip.look(row)
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
                    trip.look(row)
            if pending and row < limit:
                self.fill(begins[row], opens[row], volumes[row] if known else -1)
                for trip in trips:
                    trip.look(row)

    def _stroll(self, trip: Trip, row: int, limit: int, tape: Tape, ends: Sequence[int], marks: list[int]) -> tuple[int, bool]:
        """Go from row to row that the only plan names, up to a limit, as long as nothing but orders come of it that `deal` takes.

        Returns the row that comes next, and whether the desk had to act.
        """
        desk, matcher, book, seat, journal = self._desk, self._matcher, self._book, trip.seat, self._journal
        plan_next, seek, decide, deal, memory, view = trip.plan.next, trip.plan.seek, seat.decide, self.deal, trip.memory, trip.view
        begins, opens, closes, volumes, lot = tape.at, tape.open, tape.close, tape.volume, self._market.lot_units
        since, stop, now, acted, until = trip.since, trip.next, 0, False, limit
        known, symbol, every, mark = tape.has_volume, self._market.symbol, desk.mark_every, marks[-1]
        if any(one.repeats for one in desk._seats.values()) or self._listeners:
            until = 0  # how often a refusal was repeated is written with the next mark
        if stop < until:
            view.book, book.volume = book, -1
        while stop < until and seat.wake != NEVER:
            if stop > row:
                if desk._due >= 0:
                    self.mark()
                while mark < stop:
                    if mark >= row:
                        due = ends[mark]
                        journal.note((mark_of, due, symbol, closes[mark], due), 1)
                        self._noted += 1
                        desk._mark_at = due - due % every + every
                    marks.pop()
                    mark = marks[-1]
                book.at = ends[stop - 1]
            now = ends[stop]
            if mark <= stop or desk._due >= 0:
                self._mark_if_over(now)
            matcher.last = close = closes[stop]
            book.before = book.at or now
            book.at = view.now = now
            book.bid = book.ask = close
            if known:
                book.volume = volumes[stop] * lot
            seek(memory, since, stop)
            row = since = stop + 1
            try:
                wishes: object = decide(memory, view)
            except Exception as error:
                wishes = Raised(error)
            if wishes is not None and (row == limit or not deal(seat, wishes, now, begins[row], opens[row])):
                self._act(seat, wishes, now)
                acted = True
                if row < limit and self._pending:
                    self.fill(begins[row], opens[row], volumes[row] if known else -1)
            if acted:
                trip.look(row)
                stop = trip.next
                break
            stop = plan_next(memory, row, view)
        trip.since, trip.next = since, stop
        if now:
            self._books.now = max(self._books.now, now)
            self._date()
            desk._priced = now
        return row, acted

    def _act(self, seat: Seat, wishes: object, now: int) -> None:
        """Do with the wishes of the only engine what `deal` would not."""
        if not self.take(seat, wishes, now):
            self._wished(seat, wishes, now)

    def _wished(self, seat: Seat, wishes: object, now: int) -> None:
        """Have the desk do what the only engine wishes for."""
        if self._pending:
            self.hand_over()
        self._books.now = self._desk._priced = now
        commands = self._desk._wished(seat, wishes, now, None)
        if commands:
            carry(commands, self._exchange, now)
            if self._matcher.outbox:
                drain(self._desk, self._exchange, now)

    def _ask(self, trip: Trip, row: int, now: int, commands: list[Command] | None) -> tuple[list[Command] | None, bool]:
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
        """The rows at whose ends marks fall due, the last first; at the bottom one that is never come to."""
        every, at, rows = self._desk.mark_every, self._desk._mark_at, []
        size, row = len(ends), bisect_left(ends, at)
        step = max(1, (ends[-1] - ends[0]) // max(1, size - 1))
        while row < size:
            rows.append(row)
            now = ends[row]
            at = now - now % every + every
            next_row = row + max(1, (at - now + step - 1) // step)  # as it is where rows are equally long
            if next_row >= size or not ends[next_row - 1] < at <= ends[next_row]:
                next_row = bisect_left(ends, at, row + 1)
            row = next_row
        return [NEVER, *reversed(rows)]

    def _pass(self, row: int, stop: int, tape: Tape, ends: Sequence[int], marks: list[int]) -> None:
        """Go by rows at which nobody has to be asked: what falls due on the way is marked, and the last price is shown."""
        desk, book = self._desk, self._book
        if desk._due >= 0:
            self.mark()
        last = stop - 1
        while marks[-1] < row:
            marks.pop()
        if marks[-1] <= last:
            closes, symbol, every = tape.close, self._market.symbol, desk.mark_every
            repeats = any(seat.repeats for seat in desk._seats.values()) or bool(self._listeners)
            while marks[-1] < last:
                mark = marks.pop()
                due = ends[mark]
                if repeats:  # how often a refusal was repeated is written with the first mark
                    self._show(mark, tape, ends)
                    desk._due, repeats = due, bool(self._listeners)
                    self.mark()
                else:
                    self._journal.note((mark_of, due, symbol, closes[mark], due), 1)
                    self._noted += 1
                    desk._mark_at = due - due % every + every
            if marks[-1] == last:
                desk._due = ends[last]
        if desk._due < 0 and stop % BLOCK and stop < len(ends) and not self._matcher._live:
            book.at = ends[last]  # of which the next price, which is shown at once, only says when it was
            return
        self._show(last, tape, ends)
        self._books.now = desk._priced = ends[last]
        self._matcher.last = tape.close[last]

    def _show(self, row: int, tape: Tape, ends: Sequence[int]) -> None:
        """Show the price of a row that was gone by."""
        book, now = self._book, ends[row]
        book.before = ends[row - 1] if row else book.at or now
        book.at = now
        book.bid = book.ask = tape.close[row]
        book.volume = tape.volume[row] * self._market.lot_units if tape.has_volume else -1
