"""One contract's past: trades and funding as they came, folded into facts and into the account's position.

An exchange moves what a trade has realized to cash at once, less its fee. The books are told so: each trade is a `Fill`, and a
`Settled` of what it moved. What is left of a position is then what it cost at its average price, and nothing else:

    realized = what was received for the part that was closed, less what that part had cost
    moved    = realized - fee                       funding likewise: paid, and moved at once
    money    = -(what the open contracts cost)      zero when there are none

Where the exchange says what was realized, its figure counts, and the trade's `cost` is what makes it so: by a few units, where it
has rounded an average price. A figure that is further off says that the past is not whole, and is refused.

This module asks nobody. Trades come in any order, each with an id; facts of the same trades are the same facts.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

from attrs import frozen

from ...errors import VenueUnavailable
from ...facts import FundingPaid, Liquidated, Settled
from ...market import PPB, Basis, FundingRate, Instrument
from ...money import Amount, Rounding, divide
from ...orders import Fill, Liquidity, Position, Side

__all__ = ["Paid", "Slate", "Traded"]

Fact = Fill | FundingPaid | Liquidated | Settled
DRIFT_PLACES = 4
"""A realized profit that is rounded to so many decimal places is still taken for what its trades make."""


@frozen
class Paid:
    """Funding: what the account received, in quote units. `qty` and `rate_ppb`, `price` where the exchange says them."""

    id: str
    at: int
    amount: int
    every: int
    qty: int | None = None
    rate_ppb: int | None = None
    price: int | None = None
    basis: Basis = Basis.MARK
    seq: int = 0


@frozen
class Traded:
    """A trade of contracts. `start` is the position before it, `realized` what it realized, where the exchange says so.

    `funding` is what fell due with it.
    """

    id: str
    at: int
    order_id: str
    side: Side
    qty: int
    price: int
    cost: int
    fee: Amount
    liquidity: Liquidity
    realized: int | None = None
    start: int | None = None
    forced: bool = False
    funding: Paid | None = None
    seq: int = 0


class Slate:
    """The past of one contract from an instant on at which none was held."""

    def __init__(self, instrument: Instrument, venue: str) -> None:
        self.instrument = instrument
        self.venue = venue
        self.qty = 0
        self.facts: list[Fact] = []
        self._cost = 0
        """What the open contracts cost, below zero when they were sold."""
        self._entries: dict[str, Traded | Paid] = {}
        self._until = -1
        self._average = 0
        self._times: list[int] = []
        self._held: list[int] = []

    def __contains__(self, entry_id: str) -> bool:
        return entry_id in self._entries

    @property
    def money(self) -> int:
        """The money side of the position, in quote units."""
        return -self._cost

    @property
    def position(self) -> Position:
        return Position(self.instrument, self.qty, self.money)

    def qty_at(self, at: int) -> int:
        """The contracts that were held at an instant, before what happened at it."""
        place = bisect_left(self._times, at)
        return self._held[place - 1] if place else 0

    def add(self, entries: Iterable[Traded | Paid]) -> None:
        """Take in what is new. What comes late is put where it belongs, and all behind it is worked out again.

        Raises `VenueUnavailable` where it does not fit what is known; then nothing of it is taken in.
        """
        new = [entry for entry in entries if entry.id not in self._entries]
        if not new:
            return
        kept = self.qty, self._cost, self._until, self._average, list(self.facts), list(self._times), list(self._held), dict(self._entries)
        try:
            self._add(new)
        except BaseException:
            self.qty, self._cost, self._until, self._average, self.facts, self._times, self._held, self._entries = kept
            raise

    def _add(self, new: list[Traded | Paid]) -> None:
        late = min(entry.at for entry in new) <= self._until
        self._entries |= {entry.id: entry for entry in new}
        if late:
            self.qty = self._cost = 0
            self.facts, self._times, self._held = [], [], []
            new = list(self._entries.values())
        for at in sorted({entry.at for entry in new}):
            self._instant(sorted((entry for entry in new if entry.at == at), key=lambda entry: (isinstance(entry, Traded), entry.seq)))
            self._until = at

    def _instant(self, entries: list[Traded | Paid]) -> None:
        """All of one instant: trades in the order in which each begins where the one before ended, where they say so."""
        while entries:
            chosen = next((one for one in entries if isinstance(one, Traded) and one.start == self.qty), entries[0])
            if isinstance(entries[0], Paid):
                chosen = entries[0]
            entries.remove(chosen)
            if isinstance(chosen, Paid):
                self._fund(chosen)
                self._settle(chosen.at, chosen.amount, f"funding {chosen.id}")
            else:
                self._trade(chosen)

    def _trade(self, trade: Traded) -> None:
        market, sign = self.instrument, trade.side.sign
        if trade.start is not None and trade.start != self.qty:
            raise VenueUnavailable(
                f"{market} at {self.venue}: trade {trade.id} began with {market.qty_text(trade.start)} contracts held, and the trades "
                f"before it make {market.qty_text(self.qty)}: the past is not whole; flat_at= names an instant at which none were held"
            )
        moved = 0
        if trade.funding is not None:
            self._fund(trade.funding)
            moved = trade.funding.amount
        change, spent = sign * trade.qty, sign * trade.cost
        closed = min(abs(self.qty), trade.qty) if self.qty * change < 0 else 0
        released = self._released(closed)
        opened = spent if not closed else spent - divide(spent * closed, trade.qty, Rounding.CEIL)
        realized = opened - spent - released
        if trade.realized is not None:
            off = trade.realized - realized
            self._check(trade, closed, off)
            spent, realized = spent - off, trade.realized
        self._cost += (opened if closed < trade.qty else 0) - released
        self.qty += change
        self._times.append(trade.at)
        self._held.append(self.qty)
        cost, fee = max(0, sign * spent), trade.fee
        if trade.forced and fee.asset == market.quote:
            self.facts.append(Liquidated(trade.at, market, change, trade.price, cost, fee, trade.id, self.venue))
        else:
            self.facts.append(
                Fill(
                    trade.order_id,
                    trade.at,
                    market,
                    trade.side,
                    trade.qty,
                    trade.price,
                    cost,
                    fee,
                    trade.liquidity,
                    trade_id=trade.id,
                    venue=self.venue,
                )
            )
        self._average = trade.price
        self._settle(trade.at, realized + moved - (fee.units if fee.asset == market.quote else 0), f"trade {trade.id}")

    def _released(self, closed: int) -> int:
        if not closed:
            return 0
        return self._cost if closed == abs(self.qty) else divide(self._cost * closed, abs(self.qty), Rounding.CEIL)

    def _check(self, trade: Traded, closed: int, off: int) -> None:
        """A realized profit is what the trades make, the rounding of an average price aside."""
        market = self.instrument
        most = market.cost(market.tick_units, closed, Rounding.CEIL) + int(10 ** max(0, market.quote.scale - DRIFT_PLACES))
        if abs(off) > most or (off and not closed):
            raise VenueUnavailable(
                f"{market} at {self.venue}: trade {trade.id} realized {Amount(trade.realized or 0, market.quote)}, which is "
                f"{Amount(off, market.quote)} off what the trades before it make: the past is not whole, or positions are hedged"
            )

    def _fund(self, paid: Paid) -> None:
        market = self.instrument
        qty = self.qty if paid.qty is None else paid.qty
        if paid.amount and not qty:
            raise VenueUnavailable(f"{market} at {self.venue}: funding {paid.id} was paid where nothing was held: the past is not whole")
        rate = _rate(market, paid, qty, self._average)
        if rate is not None:
            self.facts.append(FundingPaid(rate, qty, paid.amount, paid.id, self.venue))

    def _settle(self, at: int, units: int, name: str) -> None:
        if units:
            self.facts.append(Settled(at, self.instrument, units, name, self.venue))


def _rate(market: Instrument, paid: Paid, qty: int, last: int) -> FundingRate | None:
    """The rate at which it was paid: as told, or what makes the payment of the position at a price. None: nothing was paid on nothing."""
    price, rate = paid.price, paid.rate_ppb
    numerator, denominator = market.ratio
    if rate is None:
        price = price or last
        if not qty or not price:
            return None
        sign = -1 if qty > 0 else 1
        rate = divide(sign * paid.amount * denominator * PPB, abs(qty) * price * numerator, Rounding.HALF_EVEN)
    if price is None:
        owed = -qty * rate * numerator
        price = _price(paid.amount, owed, denominator * PPB) if owed else last
    return FundingRate(market, paid.at, rate, max(1, price or last or 1), paid.every, paid.basis)


def _price(amount: int, per_unit: int, over: int) -> int:
    """The price at which a position pays an amount that is rounded down, or the nearest to it."""
    low, high = sorted((amount * over * (1 if per_unit > 0 else -1), (amount + 1) * over * (1 if per_unit > 0 else -1)))
    least = divide(low, abs(per_unit), Rounding.CEIL) if per_unit > 0 else divide(low, abs(per_unit), Rounding.FLOOR) + 1
    most = divide(high, abs(per_unit), Rounding.CEIL) - 1 if per_unit > 0 else divide(high, abs(per_unit), Rounding.FLOOR)
    if least <= most:
        return (least + most) // 2
    return divide(low + high, 2 * abs(per_unit), Rounding.HALF_EVEN)
