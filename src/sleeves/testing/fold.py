"""What the events of an account make: its coins and its contracts, counted along.

It does not know the venue, and never asks it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attrs import evolve

from ..facts import AccountFact, Bankrupted, FundingPaid, Liquidated, Settled, Shifted, Transferred
from ..market import Instrument
from ..money import Amount
from ..orders import Event, Fill, Position

__all__ = [
    "Folded",
    "figures",
    "fold_events",
    "position_text",
]


class Folded:
    """What an account holds, by nothing but what its venue said. Read `coins` and `positions` at any time.

    Each fact with a key counts once, however often it is told; one that comes again with other content is not counted and
    noted in `conflicts`. It never asks the venue, and knows no order that was not filled.
    """

    def __init__(self, start: Mapping[str, Amount]) -> None:
        self.coins: dict[str, Amount] = dict(start)
        self.filled: dict[str, int] = {}
        """Base units filled by order id."""
        self.conflicts: list[str] = []
        self._positions: dict[str, Position] = {}
        self._known: dict[str, Fill | AccountFact] = {}

    @property
    def positions(self) -> dict[str, Position]:
        """Contracts by symbol, and what is unsettled of them; those with neither left out."""
        return {symbol: held for symbol, held in self._positions.items() if held.qty or held.money}

    def position(self, instrument: Instrument) -> Position:
        return self._positions.get(instrument.symbol, Position(instrument, 0, 0))

    def take(self, event: Event) -> None:
        """Count one event. Prices and what is only said of an order move nothing."""
        if not isinstance(event, (Fill, AccountFact)):
            return
        known = self._known.get(event.key)
        if known is not None:
            if known != event:
                self.conflicts.append(f"{event.key} was told with other content before: {known} and {event}")
            return
        self._known[event.key] = event
        if isinstance(event, Fill):
            self._fill(event)
        elif isinstance(event, Transferred):
            self._move(event.amount)
        elif not isinstance(event, Shifted):  # that moves nothing of the account as a whole
            self._contract(event)

    def _fill(self, fill: Fill) -> None:
        self.filled[fill.order_id] = self.filled.get(fill.order_id, 0) + fill.qty
        market, sign, fee = fill.instrument, fill.side.sign, fill.fee
        if market.contract is None:
            self._move(Amount(sign * fill.qty, market.base), Amount(-sign * fill.cost, market.quote), -fee)
        elif fee.asset == market.quote:
            self._hold(market, sign * fill.qty, -sign * fill.cost - fee.units)
        else:
            self._hold(market, sign * fill.qty, -sign * fill.cost)
            self._move(-fee)

    def _contract(self, fact: FundingPaid | Settled | Liquidated | Bankrupted) -> None:
        market = fact.instrument
        if isinstance(fact, Settled):
            self._hold(market, 0, -fact.amount - fact.fee)
            self._move(Amount(fact.amount, market.quote))
        elif isinstance(fact, Liquidated):
            self._hold(market, fact.change, (-fact.cost if fact.change > 0 else fact.cost) - fact.fee.units)
        else:
            self._hold(market, 0, fact.amount)

    def _hold(self, market: Instrument, qty: int, money: int) -> None:
        held = self.position(market)
        self._positions[market.symbol] = evolve(held, qty=held.qty + qty, money=held.money + money)

    def _move(self, *amounts: Amount) -> None:
        for amount in amounts:
            code = amount.asset.code
            self.coins[code] = self.coins.get(code, amount.asset.zero) + amount

    def differ(self, balances: Mapping[str, Amount], positions: Mapping[str, Position] | None = None) -> list[str]:
        """Where what the venue says it holds is not what its events make, each in a sentence; nothing where both agree."""
        found = []
        for code in sorted(self.coins.keys() | balances.keys()):
            made, said = self.coins.get(code), balances.get(code)
            agree = made == said if made is not None and said is not None else not any(one.units for one in (made, said) if one is not None)
            if not agree:
                has, makes = (f"none of {code}" if one is None else one for one in (said, made))
                found.append(f"balances() says {has}, its events make {makes}")
        if positions is not None:
            ours = self.positions
            for symbol in sorted(ours.keys() | positions.keys()):
                one, other = ours.get(symbol), positions.get(symbol)
                if figures(one) != figures(other):
                    found.append(f"positions() says {position_text(other)} of {symbol}, its events make {position_text(one)}")
        return found


def fold_events(start: Mapping[str, Amount], events: Iterable[Event]) -> Folded:
    """What an account that began with these coins holds after these events."""
    folded = Folded(start)
    for event in events:
        folded.take(event)
    return folded


def figures(held: Position | None) -> tuple[int, int]:
    """A position as its base units and its quote units; none is of zero units."""
    return (0, 0) if held is None else (held.qty, held.money)


def position_text(held: Position | None) -> str:
    """A position as a sentence shows it."""
    qty, money = figures(held)
    return f"{qty} base units and {money} quote units"
