"""What sleeves share on a venue that nets their contracts: funding, settlement, liquidation, and the ring fence.

The venue knows one position; each sleeve owns a slice of it. Facts about the whole are split here among the slices, to
the unit: funding by what each held at that instant, a settlement to those who made it, a liquidation to the slices on
that side that carry themselves least. And before it comes to that, a sleeve whose own money no longer carries its
contracts is closed by the desk, so that its loss does not become another's.

What an order is, and who decides, is not known here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Protocol

from . import contracts
from .books import Books
from .exposure import Ground
from .facts import AccountFact, Bankrupted, FundingPaid, Liquidated, Settled, Shifted, Transferred
from .funding import split
from .ledger import Entry, Role
from .margin import Check, health_bp, standing
from .market import MINUTE, Book, Instrument
from .money import Amount, decimal_text
from .orders import Command, Fill, Order, SettlePnl
from .records import Alert, Level, Record
from .seat import Seat
from .state import MOST_MOVES, State
from .status import Move, Status
from .vault import CoreVault, Sleeve, move_together

__all__ = ["FENCE", "Hands", "Netting", "missing"]

NOTHING: tuple[Command, ...] = ()
NEVER_HIGH = 1 << 200
ALWAYS = (NEVER_HIGH, 0)
"""A band that no price lies in."""
FENCE = "desk"
"""Who flattens a sleeve whose own money no longer carries its contracts."""


class Hands(Protocol):
    """What is asked of the desk."""

    def alert(self, now: int, level: Level, subject: str, code: str, text: str) -> None: ...

    def cancel_all(self, sleeve: Sleeve) -> Sequence[Command]: ...

    def cancel_opening(self, seat: Seat) -> Sequence[Command]: ...

    def flatten(self, seat: Seat, now: int) -> Sequence[Command]: ...

    def close_by(self, seat: Seat, by: str, at: int) -> None: ...


class _Box:
    """Prices of several contracts, lowest and highest, within which nothing is to be done while the books stand still."""

    __slots__ = ("changes", "prices", "seats")

    def __init__(self, changes: int, prices: tuple[tuple[Book, int, int], ...], seats: tuple[Seat, ...]) -> None:
        self.changes = changes
        self.prices = prices
        self.seats = seats


def missing(books: Books, entry: Entry) -> Amount | None:
    """What an entry will leave below zero in a sleeve's free coins."""
    units = books.ledger.units
    for account, asset, change in entry.postings:
        if account[1] is Role.FREE:
            left = units(account, asset) + change
            if left < 0:
                return Amount(left, asset)
    return None


class Netting:
    """The slices of all sleeves of a desk."""

    def __init__(
        self,
        vaults: Sequence[CoreVault],
        seats: Mapping[str, Seat],
        boards: Mapping[str, Book],
        ground: Ground,
        settle_above: str,
        health_at: tuple[int, ...],
        hands: Hands,
        ordered: Mapping[str, Mapping[str, Order]],
    ) -> None:
        self._ordered = ordered
        """Open orders of contracts by symbol and id."""
        self._ranks: dict[str, int] = {}
        """By sleeve, where it stands among those of all vaults."""
        self._watching: dict[str, set[str]] = {}
        """By symbol, sleeves whose engine watches it."""
        self._watched = 0
        """For how many seats that is known."""
        self.books = vaults[0].books
        self.bands: dict[int, tuple[int, int]] = {}
        """By index of an instrument: the prices between which every sleeve carries its contracts, both outside."""
        self._vaults = vaults
        self._seats = seats
        self._boards = boards
        self._ground = ground
        self._settle_above = settle_above
        self._hands = hands
        self._health_at = health_at
        self._levels: dict[str, int] = {}
        """By vault, or sub-account of one: how many of those levels its account's health is below."""
        self._told: dict[tuple[str, int], int] = {}
        """By vault and level: when that was last told. Each level has a rest of its own, so that none mutes another."""
        self._measured: dict[int, int] = {}
        """By index: the state of the books at which its band was worked out."""
        self._boxes: dict[int, _Box] = {}
        """By index: where several contracts matter, prices of all of them within which nobody and nothing is in danger."""
        self._moves: dict[str, deque[tuple[int, str, int]]] = {}
        """By symbol: the latest changes of slices, (at, sleeve, base units), for facts about an instant that is past."""

    def known(self, fact: AccountFact) -> bool:
        """Whether a fact was booked before; says so when it came again with other content."""
        known = self.books.fact(fact.key)
        if known is not None and known != fact:
            text = f"{fact.key} came again with other content and was not booked: {fact}"
            self.books.set_aside(fact, "conflict", Alert(fact.at, Level.CRITICAL, fact.venue or "venue", "fact_conflict", text))
        return known is not None

    def unattributed(self, fact: AccountFact, why: str) -> Sequence[Command]:
        """Nobody is found for a fact: it is kept, told to a human, and tried again after the next fill."""
        text = f"{fact.key} {why} and was not booked yet: {fact}"
        self.books.set_aside(fact, why, Alert(fact.at, Level.CRITICAL, fact.venue or "venue", "fact_unattributed", text))
        return NOTHING

    def remember(self, state: State) -> None:
        """Stand where the journal's records lead."""
        self._moves = {symbol: deque(moves, maxlen=MOST_MOVES) for symbol, moves in state.moves.items()}

    def look_again(self) -> None:
        """Look at every contract that somebody has with the next price of it."""
        for market in {market for vault in self._vaults for sleeve in vault.sleeves.values() for market in sleeve.contracts()}:
            if market.symbol in self._boards:
                self.bands[self._boards[market.symbol].index] = ALWAYS

    def retry(self, market: Instrument) -> list[Command]:
        """After a fill: book what was told before the fill that it follows from."""
        commands: list[Command] = []
        for fact in [fact for facts in self.books.quarantine.values() for fact in facts]:
            if isinstance(fact, (Fill, Transferred, Shifted)) or fact.instrument != market or self.books.fact(fact.key) is not None:
                continue
            if isinstance(fact, FundingPaid):
                commands += self.funded(fact)
            elif isinstance(fact, Settled):
                commands += self.settled(fact)
            elif isinstance(fact, Liquidated):
                commands += self.liquidated(fact)
            else:
                commands += self.bankrupted(fact)
        return commands

    def _owners(self, market: Instrument) -> list[Sleeve]:
        """Sleeves that have, or had, contracts in an instrument."""
        found: list[Sleeve] = []
        for name in self.books.ledger.owners_in(market.symbol):
            for vault in self._vaults:
                sleeve = vault.sleeves.get(name)
                if sleeve is not None and vault.asset == market.quote:
                    if sleeve.position_units(market) or sleeve.unsettled_units(market) or sleeve.margin_units(market):
                        found.append(sleeve)
                    break
        if len(found) > 1:
            if any(sleeve.name not in self._ranks for sleeve in found):
                names = [name for vault in self._vaults for name in vault.sleeves]
                self._ranks = {name: rank for rank, name in enumerate(names)}
            found.sort(key=lambda sleeve: self._ranks[sleeve.name])
        return found

    def moved(self, market: Instrument, at: int, sleeve: str, change: int) -> None:
        """A slice has changed: remember when, for funding told late, and look at prices anew."""
        log = self._moves.setdefault(market.symbol, deque(maxlen=MOST_MOVES))
        log.append((at, sleeve, change))
        self.bands.setdefault(self._boards[market.symbol].index, ALWAYS)

    def watch(self, book: Book, now: int) -> list[Command]:
        """A price of contracts that sleeves hold: mostly nothing, because it lies where nobody and nothing is in danger."""
        index = book.index
        if book.bid <= 0:
            return []
        low, high = self.bands[index]
        measured = self._measured.get(index) == self.books.changes
        if measured and (low < book.mid < high or (index in self._boxes and self._boxed(index))):
            return []
        commands = [*self._flatten_on(book, now), *self._fence(book, now)]
        told = self._tell_health(book.instrument, now)
        if told and (not measured or (low, high) != ALWAYS):
            self._measure(book)
        if told and not commands and self.bands.get(index) == ALWAYS:
            self._box(book)
        return commands

    def _boxed(self, index: int) -> bool:
        """Whether all prices that matter are still where nothing can happen, and nothing else has changed."""
        box = self._boxes[index]
        if box.changes == self.books.changes and not any(self._ordered.values()):
            for book, low, high in box.prices:
                if not low <= book.mid <= high:
                    break
            else:
                if not any(seat.flatten_by for seat in box.seats):
                    return True
        del self._boxes[index]
        return False

    def _box(self, book: Book) -> None:
        """Work out prices of all contracts that matter within which every sleeve carries its own and no health is to be told.

        While orders of contracts are open there are none: each of them moves what an account needs.
        """
        market = book.instrument
        vaults = [vault for vault in self._vaults if vault.asset == market.quote]
        if len(vaults) != 1 or any(self._ordered.values()):
            return
        account = market.account or 0
        held = [one for one in self._boards.values() if one.instrument.contract is not None and (one.instrument.account or 0) == account]
        owners = {s.name: s for one in held for s in self._owners(one.instrument) if s.name in self._seats and s.contracts()}
        within = self._ground.safe(vaults[0], account, owners.values(), max(self._health_at, default=0))
        if market.symbol in within:
            prices = tuple((self._boards[symbol], *ends) for symbol, ends in within.items())
            self._boxes[book.index] = _Box(self.books.changes, prices, tuple(self._seats[name] for name in owners))

    def _measure(self, book: Book) -> None:
        """Work out the prices between which every sleeve carries its contracts and no account's health is worth telling."""
        market, low, high, open_ = book.instrument, 0, NEVER_HIGH, False
        bands = [self._ground.fence(s, market) for s in self._owners(market) if s.name in self._seats and s.position_units(market)]
        for vault in self._vaults:
            if bands and vault.asset == market.quote:
                bands.append(self._ground.health_band(vault, market, self._health_at))
        for band in bands:
            low, high = ALWAYS if band is None else (max(low, band[0]), min(high, band[1]))
            open_ = True
        self._measured[book.index] = self.books.changes
        if open_:
            self.bands[book.index] = (low, high)
        else:
            self.bands.pop(book.index, None)
            self._levels.clear()

    def _tell_health(self, market: Instrument, now: int) -> bool:
        """Say when an account's health falls below a level: at most once a minute for each level. False: some is still to be said."""
        all_told = True
        for vault in self._vaults:
            joint = self._ground.joint(vault, stale=True, account=market.account or 0) if vault.asset == market.quote else None
            if joint is None or not joint.contracts:
                continue
            now_at = health_bp(joint)
            level = sum(now_at < one * 100 for one in self._health_at)
            which = f"{vault.owner}:{market.account}" if market.account else vault.owner
            if level > self._levels.get(which, 0):
                if now - self._told.get((which, level), -MINUTE) < MINUTE:
                    all_told = False
                    continue
                self._told[which, level] = now
                price = self._ground.liquidation(joint, market) if any(c.symbol == market.symbol for c in joint.contracts) else None
                text = f"sub-account {market.account}: " if market.account else ""
                text += f"health {decimal_text(now_at, 2)} is below {self._health_at[level - 1]}"
                text += "" if price is None else f"; {market} at {market.price_text(price)} liquidates the account"
                self._hands.alert(now, Level.WARNING if level < len(self._health_at) else Level.CRITICAL, vault.owner, "health", text)
            self._levels[which] = level
        return all_told

    def _flatten_on(self, book: Book, now: int) -> list[Command]:
        """Go on closing what waited for this price: after a restart no price is known."""
        seats = [self._seats[s.name] for s in self._owners(book.instrument) if s.name in self._seats and s.position_units(book.instrument)]
        return [command for seat in seats if seat.flatten_by for command in self._hands.flatten(seat, now)]

    def _fence(self, book: Book, now: int) -> list[Command]:
        """Close the slices of sleeves whose own money no longer carries them, before they can take that of others."""
        commands: list[Command] = []
        for sleeve in self._owners(book.instrument):
            seat = self._seats.get(sleeve.name)
            if seat is None or seat.flatten_by or now < seat.fence_after or not sleeve.contracts() or not self._ground.broken(sleeve):
                continue
            price = f"{book.instrument} at {book.instrument.price_text(book.mid)}"
            text = f"{price}: its own money no longer carries its contracts, so they are closed"
            alert = Alert(now, Level.CRITICAL, sleeve.name, "ring_fence", text)
            if sleeve.own_status is Status.HALTED:
                self.books.record(alert)
            else:
                sleeve.move(Move.BREACH, by="desk", why="ring_fence", at=now, after=(alert,))
            self._hands.close_by(seat, FENCE, now)
            commands += self._hands.cancel_all(sleeve) or self._hands.flatten(seat, now)
        return commands

    def _slices_at(self, market: Instrument, at: int, total: int) -> dict[str, int]:
        """Each sleeve's contracts as they were at an instant: before what happened in it, where only that fits the total."""
        slices = {sleeve.name: sleeve.position_units(market) for sleeve in self._owners(market)}
        before = dict(slices)
        for moved, name, change in self._moves.get(market.symbol, ()):
            if moved > at:
                slices[name] = slices.get(name, 0) - change
            if moved >= at:
                before[name] = before.get(name, 0) - change
        chosen = before if sum(slices.values()) != total == sum(before.values()) else slices
        return {name: qty for name, qty in chosen.items() if qty}

    def _sleeve(self, name: str) -> Sleeve:
        return next(vault.sleeves[name] for vault in self._vaults if name in vault.sleeves)

    def funded(self, fact: FundingPaid) -> Sequence[Command]:
        """Give each slice its part of a funding payment, by the contracts that it held at that instant."""
        if self.known(fact):
            return NOTHING
        slices = self._slices_at(fact.instrument, fact.at, fact.qty)
        if not slices and (fact.amount or fact.qty):
            return self.unattributed(fact, "was paid on contracts that no sleeve held")
        records: list[Record] = [fact]
        if sum(slices.values()) != fact.qty:
            text = f"{fact.key} was paid on {fact.qty} units, sleeves held {sum(slices.values())}: shared as the payment says"
            records.append(Alert(fact.at, Level.CRITICAL, fact.venue or "venue", "funding_mismatch", text))
        due = [fact.rate.entitlement(qty) for qty in slices.values()]
        if not slices:
            parts = []
        elif any(numerator for numerator, _ in due):
            parts = split(fact.amount, [numerator for numerator, _ in due], due[0][1])
        else:
            parts = contracts.share(fact.amount, [abs(qty) for qty in slices.values()])
        by = fact.venue or "venue"
        records += [contracts.funding(name, fact, part, by=by) for name, part in zip(slices, parts, strict=True) if part]
        self._post_facts(fact, records)
        return NOTHING

    def settled(self, fact: Settled) -> Sequence[Command]:
        """Move what the venue settled from unsettled to free, to those who made it. Flat sleeves then share their profit."""
        if self.known(fact):
            return NOTHING
        market = fact.instrument
        owners = self._owners(market)
        if not owners and (fact.amount or fact.fee):
            return self.unattributed(fact, "belongs to no sleeve")
        unsettled, slices = [s.unsettled_units(market) for s in owners], [s.position_units(market) for s in owners]
        weights = next(([abs(one) for one in some] for some in (slices, unsettled) if any(some)), [1] * len(owners))
        fees = contracts.share(fact.fee, weights)
        after = [own - fee for own, fee in zip(unsettled, fees, strict=True)]
        parts = contracts.share_settlement(fact.amount, after, slices)
        by = fact.venue or "venue"
        entries = [
            contracts.settle(s.name, fact, part, margin=s.margin_units(market), free=s.free_units(market.quote), by=by, fee=fee)
            for s, part, fee in zip(owners, parts, fees, strict=True)
            if part or fee
        ]
        self._post_facts(fact, [fact, *entries])
        commands: list[Command] = []
        for sleeve in owners:
            if sleeve.is_flat():
                sleeve.vault.sweep(sleeve, ref=fact.key, at=fact.at)
        return commands

    def liquidated(self, fact: Liquidated) -> Sequence[Command]:
        """Share out what the venue closed by force: to the slices on that side, those first that carry themselves least."""
        if self.known(fact):
            return NOTHING
        market, by = fact.instrument, fact.venue or "venue"
        side = -1 if fact.change < 0 else 1
        slices = [s for s in self._owners(market) if s.position_units(market) * side < 0]
        if not slices:
            return self.unattributed(fact, "closed contracts that no sleeve held")
        slices.sort(key=lambda s: self._rank(s, market, fact.price))
        left = abs(fact.change)
        closing = []
        for sleeve in slices:
            qty = min(left, abs(sleeve.position_units(market)))
            left -= qty
            closing.append(qty)
        closing[0] += left
        costs, fees = (contracts.share(units, closing) for units in (fact.cost, fact.fee.units))
        records: list[Record] = [fact]
        touched: list[tuple[Sleeve, int]] = []
        for sleeve, qty, cost, fee in zip(slices, closing, costs, fees, strict=True):
            if not qty:
                continue
            records.append(
                contracts.liquidate(
                    sleeve.name,
                    fact,
                    side * qty,
                    cost,
                    fee,
                    position=sleeve.position_units(market),
                    open_cost=sleeve.open_cost_units(market),
                    margin=sleeve.margin_units(market),
                    free=sleeve.free_units(market.quote),
                    by=by,
                )
            )
            text = f"the venue closed {market.qty_text(qty)} {market} at {market.price_text(fact.price)} by force"
            records.append(Alert(fact.at, Level.CRITICAL, sleeve.name, "liquidated", text))
            touched.append((sleeve, side * qty))
        if left:
            text = f"{fact.key} closed {market.qty_text(left)} more than sleeves held; booked to {slices[0].name}"
            records.append(Alert(fact.at, Level.CRITICAL, slices[0].name, "overfill", text))
        self._post_facts(fact, records, breach=[sleeve for sleeve, _ in touched])
        commands: list[Command] = []
        for sleeve, change in touched:
            self.moved(market, fact.at, sleeve.name, change)
            seat = self._seats.get(sleeve.name)
            if seat is not None:
                commands += self._hands.cancel_opening(seat)
                commands += self._hands.flatten(seat, fact.at) if seat.flatten_by else NOTHING
            commands += self.settle_if_closed(sleeve, market)
        return commands

    def _rank(self, sleeve: Sleeve, market: Instrument, price: int) -> float:
        """How well a sleeve's own money carries its contracts at a price: the least first."""
        own = self._ground.own(sleeve, orders=False, stale=True)
        if own is None or not any(one.symbol == market.symbol for one in own.contracts):
            return 0.0
        stands = standing(own.at(market.symbol, price), Check.MAINTENANCE)
        return stands.collateral / stands.requirement if stands.requirement else float(stands.collateral)

    def bankrupted(self, fact: Bankrupted) -> Sequence[Command]:
        """Others bore a loss: it makes good what sleeves owe that have nothing left, in proportion.

        Whichever contract they lost it in: the venue names the one whose price moved last.
        """
        if self.known(fact):
            return NOTHING
        quote = fact.instrument.quote
        sleeves = [s for vault in self._vaults if vault.asset == quote for s in vault.sleeves.values()]
        owed = [max(0, -s.balance_units()) for s in sleeves]
        if not any(owed):
            return self.unattributed(fact, "made good what no sleeve owes")
        owners = [s for s, units in zip(sleeves, owed, strict=True) if units]
        parts = contracts.share(fact.amount, [units for units in owed if units])
        records: list[Record] = [fact]
        for sleeve, part in zip(owners, parts, strict=True):
            if part:
                records.append(contracts.bankrupt(sleeve.name, fact, part, by=fact.venue or "venue"))
                text = f"it lost {Amount(part, sleeve.asset)} more than the account had, borne by others"
                records.append(Alert(fact.at, Level.CRITICAL, sleeve.name, "bankrupt", text))
        self._post_facts(fact, records, breach=[s for s, part in zip(owners, parts, strict=True) if part])
        return NOTHING

    def _post_facts(self, fact: AccountFact, records: Sequence[Record], *, breach: Sequence[Sleeve] = ()) -> None:
        """Post a fact with its entries and what they do to sleeves' status, all of it or nothing."""
        alerts: list[Record] = list(self.books.release(fact.key, at=fact.at, by="desk"))
        moves = {sleeve.name: (sleeve, Move.BREACH, fact.key) for sleeve in breach}
        for record in records:
            short = missing(self.books, record) if isinstance(record, Entry) else None
            if short is not None and isinstance(record, Entry):
                name = record.postings[0].account.owner
                alerts.append(
                    Alert(fact.at, Level.CRITICAL, name, "overdrawn", f"{fact.key} left {short} free: no new risk until this is cleared")
                )
                moves[name] = (self._sleeve(name), Move.BREACH, f"overdrawn by {fact.key}")
        able = [move for move in moves.values() if move[0].own_status is not Status.HALTED]
        move_together(self.books, [*records, *alerts], able, by="desk", at=fact.at)
        self.books.booked(fact)

    def settle_if_closed(self, sleeve: Sleeve, market: Instrument) -> list[Command]:
        """Have the venue settle when a slice was closed and left more unsettled than is worth leaving."""
        if sleeve.position_units(market) or abs(sleeve.unsettled_units(market)) <= market.quote(self._settle_above).units:
            return []
        return [SettlePnl(market)]

    def shared(self, seat: Seat, market: Instrument) -> bool:
        """Whether another sleeve has, or could at any time have, contracts in the position that the venue nets with this one."""
        if len(self._seats) != self._watched:
            self._watching, self._watched = {}, len(self._seats)
            for name, one in self._seats.items():
                for watched in one.engine.watches:
                    self._watching.setdefault(watched.symbol, set()).add(name)
        symbol, own = market.symbol, seat.sleeve.name
        watching = self._watching.get(symbol, ())
        if len(watching) > (own in watching) or any(order.sleeve != own for order in self._ordered.get(symbol, {}).values()):
            return True
        return any(sleeve.name != own and sleeve.name in self._seats and sleeve.position_units(market) for sleeve in self._owners(market))
