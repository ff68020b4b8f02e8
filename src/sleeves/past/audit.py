"""An account's past held against itself: balances that follow, trades that the ledger knows, and what stands there today.

The venue's own ledger is the truth about coins. A file of trades says what was traded and at which price; what was
charged, in which coin and to which decimal place, only the ledger says. Every difference is listed; none is repaired in
silence.

This module knows nothing of sleeves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby, pairwise

from attrs import evolve, frozen

from ..errors import SleevesError
from ..facts import FlowKind
from ..market import Instrument
from ..money import Amount
from ..orders import Fill, Side
from .history import History, Line, Note, PastTrade
from .table import BadHistory, shown
from .trade import by_coin, fee_flows

__all__ = ["Balances", "Break", "Difference", "Standing", "by_ledger", "check_balances", "check_trades", "explain_balances"]


# -- the ledger against itself -------------------------------------------------------------------------------------------


@frozen(order=False)
class Break:
    """A ledger line whose balance does not follow from the line before it: lines are missing, or were changed."""

    line: Line
    expected: Amount

    @property
    def missing(self) -> Amount:
        """What the lines in between would have added."""
        return self.line.balance - self.expected

    def __str__(self) -> str:
        told = f"{self.line.place}: line {shown(self.line.id)} leaves {self.line.balance}, but {self.expected} follows"
        return f"{told} from the line before: {self.missing} is not explained"


def check_balances(history: History) -> tuple[Break, ...]:
    """Every place where a balance is not the one before it plus the amount less the fee; empty when all follow.

    A ledger tells times to the second. Lines of one second are taken in the order in which their balances follow, if
    there is one. The first line of a wallet has nothing to follow from.
    """
    return tuple(found for lines in _by_place(history).values() for found in _breaks(lines))


def _by_place(history: History) -> dict[str, list[Line]]:
    places: dict[str, list[Line]] = {}
    for line in history.lines:
        places.setdefault(line.place, []).append(line)
    return {place: _in_order(lines) for place, lines in sorted(places.items())}


def _breaks(lines: Sequence[Line]) -> Iterable[Break]:
    for last, line in pairwise(lines):
        expected = last.balance + line.change
        if line.balance != expected:
            yield Break(line, expected)


def _in_order(lines: Iterable[Line]) -> list[Line]:
    """Lines of one wallet by time, and within an instant so that balances follow, where they can."""
    groups = [list(group) for _, group in groupby(lines, key=lambda line: line.at)]
    ordered: list[Line] = []
    for group in groups:
        ordered += _trail(ordered[-1].balance.units if ordered else _beginning(groups), group)
    return ordered


def _beginning(groups: Sequence[list[Line]]) -> int:
    """The balance from which the lines of the first instant can lead on into those that follow.

    Lines that end where they began could begin at any balance they pass; the first instant that ends elsewhere says at
    which one it was.
    """
    passed: dict[int, None] | None = None
    for group in groups:
        begin = next((balance for balance, more in _more_leave(group).items() if more == 1), None)
        nodes = dict.fromkeys(line.before.units for line in group)
        if passed is None:
            passed = nodes if begin is None else {begin: None}
        elif begin is None:
            passed = {balance: None for balance in passed if balance in nodes} or passed
        elif begin in passed:
            return begin
        if begin is not None:
            break
    return next(iter(passed)) if passed else 0


def _more_leave(group: Iterable[Line]) -> dict[int, int]:
    """Of each balance: by how many more lines begin there than end there."""
    more: dict[int, int] = {}
    for line in group:
        more[line.before.units] = more.get(line.before.units, 0) + 1
        more[line.balance.units] = more.get(line.balance.units, 0) - 1
    return more


def _trail(start: int, group: list[Line]) -> list[Line]:
    """The lines in an order in which each begins where the last one ended, or as they came when there is none.

    Each line leads from one balance to another, so such an order is a walk that uses every line once (Hierholzer).
    """
    if len(group) == 1:
        return group
    leads: dict[int, list[Line]] = {}
    for line in reversed(group):
        leads.setdefault(line.before.units, []).append(line)
    walk: list[Line] = []
    stack: list[tuple[int, Line | None]] = [(start, None)]
    while stack:
        balance, begun_by = stack[-1]
        if leads.get(balance):
            follower = leads[balance].pop()
            stack.append((follower.balance.units, follower))
        else:
            stack.pop()
            walk += [begun_by] if begun_by is not None else []
    walk.reverse()
    follows = len(walk) == len(group) and all(line.balance == after.before for line, after in pairwise(walk))
    return walk if follows and walk[0].before.units == start else group


# -- trades against the ledger -------------------------------------------------------------------------------------------


@frozen(order=False)
class Difference:
    """A trade that its file and the ledger tell in two ways: what each says that it did to one coin. None: says nothing."""

    trade_id: str
    coin: str
    trade: Amount | None
    ledger: Amount | None

    def __str__(self) -> str:
        if self.trade is None:
            return f"trade {shown(self.trade_id)}: the ledger has {self.ledger}, and there is no such trade"
        if self.ledger is None:
            return f"trade {shown(self.trade_id)}: {self.trade}, and the ledger has no line of it"
        return f"trade {shown(self.trade_id)}: {self.trade} by the trade, {self.ledger} by the ledger"


def check_trades(history: History) -> tuple[Difference, ...]:
    """Trades held against the ledger lines that follow from them, coin by coin, fees included; empty when all agree.

    A ledger line of a trade that no file of trades has (a purchase in Kraken's app) is a difference too. Raises
    `BadHistory` when there are no ledger lines to hold them against.
    """
    lines = _trade_lines(history)
    found = []
    for trade in history.trades:
        fill = trade.fill
        told = lines.pop((fill.venue, fill.trade_id), [])
        says = _sums([*_legs(fill), *(-fee for fee in trade.charged)])
        has = _sums(line.change for line in told)
        for coin in says | has:
            zero = (says | has)[coin].asset.zero
            ours, theirs = says.get(coin, zero), has.get(coin, zero)
            if ours != theirs:
                found.append(Difference(fill.trade_id, coin, ours, theirs if told else None))
    for (_, ref), rest in lines.items():
        found += [Difference(ref, coin, None, amount) for coin, amount in _sums(line.change for line in rest).items()]
    return tuple(found)


def by_ledger(history: History) -> History:
    """The history with every trade as the ledger booked it: quantity, cost, fees and their coins. Prices stay.

    A trade of which the ledger has no lines, or none that move its coins the way it went, stays as it is. What was
    changed is in the notes. Raises `BadHistory` when there are no ledger lines.
    """
    lines = _trade_lines(history)
    changed = []
    trades = []
    for trade in history.trades:
        booked = _booked(trade, lines.get((trade.fill.venue, trade.fill.trade_id), []))
        if booked != trade:
            changed.append(shown(trade.fill.trade_id))
        trades.append(booked)
    notes = (Note("trades taken as the ledger booked them", tuple(changed)),) if changed else ()
    return evolve(history, trades=tuple(trades), notes=(*history.notes, *notes))


def _trade_lines(history: History) -> dict[tuple[str, str], list[Line]]:
    if not history.lines:
        raise BadHistory("there are no ledger lines to hold trades against")
    lines: dict[tuple[str, str], list[Line]] = {}
    for line in history.lines:
        if line.kind is FlowKind.TRADE:
            lines.setdefault((line.venue, line.ref), []).append(line)
    return lines


def _legs(fill: Fill) -> tuple[Amount, Amount]:
    """What a fill did to the two coins of its instrument, fees apart."""
    sign = 1 if fill.side is Side.BUY else -1
    return Amount(sign * fill.qty, fill.instrument.base), Amount(-sign * fill.cost, fill.instrument.quote)


def _sums(amounts: Iterable[Amount]) -> dict[str, Amount]:
    sums: dict[str, Amount] = {}
    for amount in amounts:
        sums[amount.asset.code] = sums.get(amount.asset.code, amount.asset.zero) + amount
    return sums


def _booked(trade: PastTrade, lines: Sequence[Line]) -> PastTrade:
    fill = trade.fill
    market: Instrument = fill.instrument
    moved = _sums(line.amount for line in lines)
    base, quote = (moved.get(asset.code, asset.zero) for asset in (market.base, market.quote))
    sign = 1 if fill.side is Side.BUY else -1
    if base.asset != market.base or quote.asset != market.quote or base.units * sign <= 0 or quote.units * sign > 0:
        return trade
    main, *further = by_coin((line.fee for line in lines), market)
    try:
        booked = evolve(fill, qty=abs(base.units), cost=abs(quote.units), fee=main)
    except SleevesError as error:
        raise BadHistory(f"trade {shown(fill.trade_id)} by the ledger: {error}") from error
    return evolve(trade, fill=booked, fees=fee_flows(booked, further))


# -- the past against today ----------------------------------------------------------------------------------------------


@frozen(order=False)
class Standing:
    """One wallet of one asset: what it began with, what the lines added, and what is there now.

    `opening` is what stood there before the first line, None where there is no line and nobody knows. `breaks` counts the
    lines whose balance does not follow.
    """

    place: str
    opening: Amount | None
    added: Amount
    lines: int
    now: Amount
    breaks: int

    @property
    def unexplained(self) -> Amount:
        """What is there now beyond opening and lines; below zero: missing. All of it, where there is no line."""
        return self.now - self.added if self.opening is None else self.now - self.opening - self.added

    @property
    def explained(self) -> bool:
        """Whether opening and lines make up what is there now, to the unit, and no line is missing in between."""
        return not self.unexplained.units and not self.breaks

    def __str__(self) -> str:
        lines = f"{self.lines} line{'s' * (self.lines != 1)}"
        begin = "no line" if self.opening is None else f"{self.opening.text} before, {self.added.text} in {lines}"
        verdict = "explained to the unit" if self.explained else f"{self.unexplained} not explained"
        broken = f", {self.breaks} break{'s' * (self.breaks != 1)} in between" if self.breaks else ""
        return f"{self.place}: {begin}, now {self.now}: {verdict}{broken}"


class Balances(tuple[Standing, ...]):
    """Every wallet that the ledger or the account has, by name."""

    @property
    def explained(self) -> bool:
        """Whether the history explains all that is there today."""
        return all(standing.explained for standing in self)

    def __str__(self) -> str:
        verdict = "the history explains every balance" if self.explained else "the history does NOT explain every balance"
        return "\n".join([*map(str, self), verdict])

    __repr__ = __str__


def explain_balances(history: History, now: Mapping[str, Amount]) -> Balances:
    """Whether what stood there before the first line, and all lines since, make up what the account holds now.

    `now` is what each wallet holds, by its name ("USD", "ETH.F"; `kraken_balances` makes it of Kraken's answer). A wallet
    that is not in it holds nothing; one without a line is unexplained as far as it holds something. Raises
    `AssetMismatch` where an amount is of another asset than its lines.
    """
    places = _by_place(history)
    found = []
    for place in sorted(places.keys() | now.keys()):
        lines = places.get(place, [])
        zero = lines[0].asset.zero if lines else now[place].asset.zero
        added = sum((line.change for line in lines), zero)
        opening = lines[0].before if lines else None
        held = zero + now.get(place, zero)
        found.append(Standing(place, opening, added, len(lines), held, sum(1 for _ in _breaks(lines))))
    return Balances(found)
