"""A desk as it stands at one instant, and its copies: on books of their own, with a paper account of what the books say is there.

The living desk is read once, at the start, and never written to. What a copy writes goes aside.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import chain, islice
from typing import Any

from attrs import evolve, fields

from ...books import Books
from ...codec import GENESIS, encode, link
from ...desk import Desk
from ...engines.idle import Idle
from ...errors import VaultError
from ...gates import CORE
from ...journal import find, order_of
from ...market import SECOND
from ...money import Amount, Rounding, decimal_text, divide
from ...orders import Rejected, SubmitOrder
from ...protocols import Journal
from ...records import Record
from ...seat import Seat
from ...sleeve import Sleeve
from ...standings import DESK, venue_subject
from ...state import State
from ...treasury import Treasury
from ...vault import CoreVault, netted
from ..driver import VirtualDriver
from ..faults import Dice, Faults, FaultyVenue
from ..models import Fees, Latency, Rules, Slippage
from ..tape import Tape
from .paths import path_of, times_of
from .told import OF_VENUES, Act, Switch

__all__ = ["NAME", "House", "subjects"]

NAME = "drill"
"""The paper venue, where the desk has one wallet; with several each bears the wallet's name."""
FIRST_TRADE = 1_000_000_000
"""Trades of a drill are numbered from here, so that none is taken for one that the journal has."""


class Aside:
    """A journal over the first records of another, which is only read: what is written goes aside, and ends with the copy."""

    def __init__(self, journal: Journal, count: int, snapshot: str) -> None:
        self._journal, self._count, self._snapshot = journal, count, snapshot
        self._own: list[Record] = []

    def append(self, *records: Record) -> None:
        self._own.extend(records)

    def group(self) -> AbstractContextManager[object]:
        return nullcontext()

    def flush(self) -> None:
        """Nothing here outlives the drill."""

    @property
    def waiting(self) -> int:
        return 0

    def find(self, key: str) -> Record | None:
        return find(self._own, key) or self._journal.find(key)

    def order(self, order_id: str) -> Iterator[Record]:
        return chain(self._journal.order(order_id), (one for one in self._own if order_of(one) == order_id))

    def load(self) -> tuple[int, str] | None:
        return self._count, self._snapshot

    def save(self, snapshot: str) -> None:
        """One that began with a snapshot needs no other."""

    def after(self, count: int) -> Iterator[Record]:
        kept = islice(self._journal.after(count), max(0, self._count - count))
        return chain(kept, self._own[max(0, count - self._count) :])

    def digest(self) -> str:
        digest = GENESIS
        for record in self:
            digest = link(digest, encode(record))
        return digest

    def __iter__(self) -> Iterator[Record]:
        return self.after(0)

    def __len__(self) -> int:
        return self._count + len(self._own)


class House:
    """A desk as it stands at one instant: all that its copies are made of. The desk itself is only read, here and at once."""

    def __init__(
        self,
        desk: Desk,
        tapes: Sequence[Tape],
        rules: Rules | Mapping[str, Rules] | None,
        faults: Faults | None,
        seed: int,
        within: int,
    ) -> None:
        if desk.recovering:
            raise VaultError("this desk was opened on a journal with records: recover it before a drill")
        self.notes: list[str] = []
        self.at = desk.books.now
        self.faults, self.seed, self.within = faults or Faults(), seed, within
        journal = desk.books.journal
        state = State.fold(journal) if desk.books.state is None else desk.books.state
        self._journal, self._count, self._snapshot = journal, state.count, state.dump()
        self._desk = desk
        self._seats = {name: Kept(seat, self.notes) for name, seat in desk._seats.items()}
        self._books = {symbol: (book.at, book.before, book.bid, book.ask, book.volume) for symbol, book in desk._boards.items() if book.bid}
        self.markets = {symbol: desk._boards[symbol].instrument for symbol in self._books}
        if not self.markets:
            raise VaultError("this desk has seen no price: there is nothing that a drill could run on")
        self._terms = _terms_of(desk)
        self._news, self._mismatched = dict(desk._news), dict(desk.books.mismatched)
        self._misplaced = {wallet: dict(off) for wallet, off in desk.books.misplaced.items()}
        self._tolerances = dict(desk.books.tolerances)
        self._limits = {
            name: (limits, copy.copy(desk._limits._seen.get(name)))
            for name, target in subjects(desk).items()
            if (limits := desk._limits.limits_of(target))
        }
        self._told = dict(desk._limits._told)
        arms = desk._arms
        self._arms = set(arms.needed), dict(arms.armed), copy.deepcopy(arms._sent), set(arms.here)
        self._lost_cancels = set(desk.cancels_lost)
        self.tapes = self._paths(tapes)
        self.rules = self._rules_of(desk, rules)
        self.venues = sorted(
            {market.venue for market in self.markets.values() if market.venue} | set(desk._standings.venues) | arms.needed | set(arms.armed)
        ) or [NAME]

    # -- switches --------------------------------------------------------------------------------------------------------

    def switches(self) -> list[Switch]:
        """All that there are."""
        sleeves, vaults = list(self._seats), self._desk.treasury.vaults
        found = [Switch(act, name) for name in sleeves for act in (Act.STOP, Act.PAUSE, Act.KILL)]
        found += [Switch(act, vault) for vault in vaults for act in (Act.PAUSE, Act.KILL)]
        found += [Switch(act, DESK) for act in (Act.PAUSE, Act.KILL)]
        return found + [Switch(act, venue_subject(name)) for name in self.venues for act in (Act.LOST, Act.SYNC, Act.DISARM)]

    def check(self, switch: Switch) -> None:
        """Raise `VaultError` for a switch of something that this desk does not have."""
        if switch.act in OF_VENUES:
            known = [venue_subject(name) for name in self.venues]
        elif switch.act is Act.STOP:
            known = list(self._seats)
        else:
            vaults = self._desk.treasury.vaults
            known = [DESK, *(vault.owner for vault in vaults), *(name for vault in vaults for name in vault.sleeves)]
        if switch.target not in known:
            raise VaultError(f"{switch.act} of {switch.target!r}: this desk has {', '.join(known)}")

    # -- the paper market --------------------------------------------------------------------------------------------------

    def _mid(self, symbol: str) -> int:
        """The latest middle price, on the tick."""
        _, _, bid, ask, _ = self._books[symbol]
        tick = self.markets[symbol].tick_units
        return max(1, divide(bid + ask, 2 * tick, Rounding.HALF_EVEN)) * tick

    def _paths(self, given: Sequence[Tape]) -> dict[str, Tape]:
        by_symbol: dict[str, Tape] = {}
        for tape in given:
            if not isinstance(tape, Tape):
                raise VaultError(f"prices of a drill are Tapes, not {tape!r}")
            symbol = tape.instrument.symbol
            if self.markets.get(symbol) != tape.instrument or symbol in by_symbol:
                raise VaultError(
                    f"a tape of {symbol}: one for each instrument of which this desk has seen a price ({', '.join(self.markets)})"
                )
            by_symbol[symbol] = tape
        begins = min((tape.at[0] for tape in by_symbol.values()), default=0)
        times = times_of(self.at, self.within)
        return {symbol: path_of(market, by_symbol.get(symbol), self._mid(symbol), begins, times) for symbol, market in self.markets.items()}

    def _rules_of(self, desk: Desk, given: Rules | Mapping[str, Rules] | None) -> dict[str, Rules]:
        if given is None:
            return {symbol: self._default(desk, symbol) for symbol in self.markets}
        rules = dict(given) if isinstance(given, Mapping) else dict.fromkeys(self.markets, given)
        unknown = [symbol for symbol in rules if symbol not in self.markets]
        if unknown or not all(isinstance(one, Rules) for one in rules.values()):
            raise VaultError(f"rules are Rules, for all markets or by symbol ({', '.join(self.markets)}), not {given!r}")
        rules |= {symbol: self._default(desk, symbol) for symbol in self.markets if symbol not in rules}
        most = max(max(one.fees.taker_ppm, one.fees.maker_ppm) for one in rules.values())
        if most > desk.allowance.fee_ppm:
            raise VaultError(f"this venue takes a fee of {decimal_text(most, 4)}%, more than the orders of this desk set aside")
        return rules

    def _default(self, desk: Desk, symbol: str) -> Rules:
        _, _, bid, ask, _ = self._books[symbol]
        half = divide((ask - bid) * 500_000, max(1, (ask + bid) // 2), Rounding.CEIL)
        fees, plain = Fees(), Slippage()
        most = desk.allowance.fee_ppm
        return Rules(
            Fees(min(fees.maker_ppm, most), min(fees.taker_ppm, most)),
            Slippage(plain.low_ppm + half, plain.high_ppm + half, plain.full_at),
            latency=Latency(order_ns=SECOND // 4),
            most_leverage_bp=desk.most_leverage_bp,
            collateral=self._terms["collateral"],
        )

    def terms(self) -> list[str]:
        """The paper venue in sentences."""
        first = next(iter(self.rules.values()))
        lines = ["On paper, in simulated time: how long a real venue takes is for that venue to say."]
        late = sorted({rules.latency.total for rules in self.rules.values()})
        lines.append(f"An order or a cancel reaches the paper venue after {' or '.join(f'{one / SECOND:g}' for one in late)} s.")
        same = all(one == first for one in self.rules.values())
        lines += first.describe()[:2] if same else [f"{symbol}: {one.describe()[1]}" for symbol, one in self.rules.items()]
        struck = {one.name: getattr(self.faults, one.name) for one in fields(Faults)}
        told = ", ".join(f"{name} {decimal_text(ppm, 4)}%" for name, ppm in struck.items() if ppm)
        return [*lines, f"faults, seed {self.seed}: {told}"] if told else lines

    # -- copies ------------------------------------------------------------------------------------------------------------

    def copy(self) -> Desk:
        """The desk once more, as it stands, on books of its own. Its engines are not asked yet."""
        treasury = Treasury.reopen(Books(Aside(self._journal, self._count, self._snapshot)))
        again = Desk(*treasury.vaults, **self._terms)
        again.books.tolerances, again.books.mismatched = dict(self._tolerances), dict(self._mismatched)
        again.books.misplaced = {wallet: dict(off) for wallet, off in self._misplaced.items()}
        again.cancels_lost |= self._lost_cancels
        sleeves = {name: sleeve for vault in treasury.vaults for name, sleeve in vault.sleeves.items()}
        for name, kept in self._seats.items():
            kept.sit(again, sleeves[name])
        for symbol, seen in self._books.items():
            again.index(self.markets[symbol])
            book = again._boards[symbol]
            book.at, book.before, book.bid, book.ask, book.volume = seen
        again._news.update(self._news)
        by_name = subjects(again)
        for name, (limits, seen_so_far) in self._limits.items():
            again.limit(by_name[name], *limits)
            if seen_so_far is not None:
                again._limits._seen[name] = copy.copy(seen_so_far)
        again._limits._told.update(self._told)
        needed, armed, sent, here = self._arms
        arms = again._arms
        arms.needed, arms.armed, arms._sent, arms.here = set(needed), dict(armed), copy.deepcopy(sent), set(here)
        again._stops.recovering = False  # it was never down: it stands where the living one does
        for name, kept in self._seats.items():
            again._seats[name].wake = kept.wake
        again._netting.look_again()
        return again

    def venue(self, again: Desk, wallet: str, markets: Sequence[str], *, alone: bool) -> FaultyVenue:
        """The paper account of a wallet, with all that the books say is there; open orders are at the venue already."""
        coins = {asset.code: Amount(units, asset) for asset, units in again.books.coins(wallet).items()}
        rules = {symbol: self.rules[symbol] for symbol in markets}
        driver = VirtualDriver([self.tapes[symbol] for symbol in markets], coins, rules, name=NAME if alone else wallet)
        exchange, account = driver.exchange, driver.exchange.account
        vaults = [vault for vault in again.treasury.vaults if vault.wallet == wallet]
        for symbol, (base, money) in netted(vaults).items():
            instrument = again.books.instruments[symbol]
            account.trade_in(instrument)
            net = account.nets[symbol]
            cost = sum(sleeve.open_cost_units(instrument) for vault in vaults for sleeve in vault.sleeves.values()) if base else 0
            net.base, net.money, net.cost = base, money, cost
        for market in exchange.markets:
            market.trades, market.last = FIRST_TRADE, self._mid(market.instrument.symbol)
            market.sync()
        account._facts, driver._now = FIRST_TRADE, self.at
        names = {name for vault in vaults for name in vault.sleeves}
        for order in again.open_orders():
            if order.sleeve in names:
                there = evolve(order, place=evolve(order.place, qty=again._blotter.left(order)))
                driver._past.sent(there)
                exchange.carry(SubmitOrder(there), self.at - max(one.latency.total for one in rules.values()))
        driver._look()
        found = [f"the paper venue did not take {one.order_id}: {one.reason}" for one in driver._waiting if isinstance(one, Rejected)]
        self.notes += [note for note in found if note not in self.notes]
        return FaultyVenue(driver, self.faults, Dice(self.seed))


class Kept:
    """What a copy of a seat is made of: the engine and what it remembers, copied once more for each copy."""

    def __init__(self, seat: Seat, notes: list[str]) -> None:
        self.engine: Any = _copied(seat.engine)
        self.backing, self.gates = seat.vault.backing, _copied(seat.gates[len(CORE) :])
        self.memory, self.fault, self.wake, self.idle = _copied(seat.memory), seat.fault, seat.wake, seat.vault.idle_reason
        self.tries, self.fence_after = dict(seat.flatten_tries), seat.fence_after
        self.day = seat.view._day, seat.view._day_pnl, seat.view._peak
        name = seat.sleeve.name
        if self.engine is None or (self.memory is None and seat.memory is not None):
            notes.append(f"the engine of {name} cannot be copied: one that does nothing stood in for it")
            self.engine, self.memory = Idle(*seat.engine.watches, name=seat.engine.name), None
        if self.gates is None:
            notes.append(f"the gates of {name} cannot be copied: they were left out")
            self.gates = ()

    def sit(self, again: Desk, sleeve: Sleeve) -> None:
        vault = again.assign(copy.deepcopy(self.engine), to=sleeve, backing=self.backing, gates=copy.deepcopy(self.gates), by=NAME)
        seat = again._seats[sleeve.name]
        seat.memory, seat.fault = copy.deepcopy(self.memory), self.fault
        seat.flatten_tries, seat.fence_after = dict(self.tries), self.fence_after
        seat.view._day, seat.view._day_pnl, seat.view._peak = self.day
        vault.idle_reason = self.idle


def subjects(desk: Desk) -> dict[str, CoreVault | Sleeve]:
    """The vaults and sleeves of a desk by their names in the journal."""
    found: dict[str, CoreVault | Sleeve] = {}
    for vault in desk.treasury.vaults:
        found[vault.owner] = vault
        found |= vault.sleeves
    return found


def _copied(what: Any) -> Any:
    """A copy that shares nothing with the original; None where there can be none."""
    try:
        return copy.deepcopy(what)
    except Exception:  # an engine may hold anything
        return None


def _terms_of(desk: Desk) -> dict[str, Any]:
    """The terms on which a desk was made."""
    markets = desk.books.instruments.values()
    assets = {asset.code: asset for market in markets for asset in (market.base, market.quote)}
    return {
        "allowance": desk.allowance,
        "mark_every": desk.mark_every,
        "collateral": {assets[code]: weights for code, weights in desk._collateral.items() if code in assets},
        "most_leverage": decimal_text(desk.most_leverage_bp, 4),
        "settle_above": desk._netting._settle_above,
        "health_alerts": desk._netting._health_at,
        "self_trade": desk._inside.policy,
        "cross_at": decimal_text(desk._inside._at_ppm, 4) + "%",
    }
