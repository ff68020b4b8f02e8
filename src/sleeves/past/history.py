"""What readers bring home: trades, lines of the venue's own ledger, and everything there is to tell about the reading.

Each trade and each line is there once, known by its venue's id. Told again it changes nothing; told otherwise under the
same id it is an error, for then one of the two is wrong and nobody here can say which.

This module does not know whose a trade is, or how a file is written.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from attrs import fields, frozen

from ..facts import CashFlow, FlowKind
from ..market import SECOND
from ..money import Amount, Asset
from ..orders import Fill
from .table import BadHistory, shown

__all__ = ["History", "Line", "Note", "PastTrade", "day", "forward", "gather", "place"]

R = TypeVar("R")
MAX_SHOWN = 5


@frozen(order=False)
class Note:
    """Something met while reading that nobody should have to find out later: what, and where it was met."""

    what: str
    where: tuple[str, ...]

    def __str__(self) -> str:
        places = ", ".join(self.where[:MAX_SHOWN]) + (", ..." if len(self.where) > MAX_SHOWN else "")
        return f"{self.what}: {len(self.where)}, {places}"


@frozen(order=False)
class PastTrade:
    """A fill, with what it has no place for: fees in further coins (`ref` is the fill's key), and the order's tag."""

    fill: Fill
    fees: tuple[CashFlow, ...] = ()
    tag: str = ""

    @property
    def charged(self) -> tuple[Amount, ...]:
        """All fees as they were charged, coin by coin; below zero: rebates."""
        return (self.fill.fee, *(-flow.amount for flow in self.fees))


@frozen(order=False)
class Line:
    """One line of the venue's own ledger: `amount` less `fee` was added to one wallet's `balance` of one asset.

    `wallet` is empty for the wallet that trades; another one (staked, lent out) has the venue's own name for it. `type`
    are the venue's words for what happened, `ref` what the line follows from.
    """

    at: int
    kind: FlowKind
    amount: Amount
    fee: Amount
    balance: Amount
    wallet: str
    id: str
    ref: str
    type: str
    venue: str

    @property
    def asset(self) -> Asset:
        return self.amount.asset

    @property
    def place(self) -> str:
        """The asset and the wallet: "USD", "ETH.F", "BTC earn / liquid"."""
        return place(self.asset, self.wallet)

    @property
    def change(self) -> Amount:
        return self.amount - self.fee

    @property
    def before(self) -> Amount:
        """What stood in the wallet before the line."""
        return self.balance - self.change

    @property
    def flows(self) -> tuple[CashFlow, ...]:
        """The line as cash flows, its fee apart. Another wallet than the one that trades is named in `venue`."""
        venue = self.venue if not self.wallet else f"{self.venue} {self.wallet}"
        found = []
        if self.amount.units:
            found.append(CashFlow(self.at, self.amount, self.kind, self.id, self.ref, venue))
        if self.fee.units:
            found.append(CashFlow(self.at, -self.fee, FlowKind.FEE, f"{self.id}/fee", self.ref, venue))
        return tuple(found)


def place(asset: Asset, wallet: str) -> str:
    """The name of a wallet of an asset."""
    return asset.code + (f" {wallet}" if wallet[:1].isalpha() else wallet)


@frozen(eq=False, repr=False)
class History:
    """Trades and ledger lines of an account, each once, in order of time. Add two to have both: overlaps are recognised.

    `notes` tell what was met while reading, `left_out` which rows were not read at all because `repair` was asked for.
    """

    trades: tuple[PastTrade, ...] = ()
    lines: tuple[Line, ...] = ()
    notes: tuple[Note, ...] = ()
    left_out: tuple[BadHistory, ...] = ()

    @property
    def fills(self) -> tuple[Fill, ...]:
        return tuple(trade.fill for trade in self.trades)

    @property
    def flows(self) -> tuple[CashFlow, ...]:
        """The ledger's lines as cash flows, of all wallets; `venue` names a wallet that does not trade."""
        return tuple(flow for line in self.lines for flow in line.flows)

    @property
    def tags(self) -> Mapping[str, str]:
        """The tags of orders, by the key of the fill, where there are any."""
        return {trade.fill.key: trade.tag for trade in self.trades if trade.tag}

    def __add__(self, other: History) -> History:
        """Both. Raises `BadHistory` where they tell one id in two ways."""
        if not isinstance(other, History):
            return NotImplemented
        pairs = (("the first history", self), ("the second history", other))
        return gather(
            [(f"{where}, {shown(trade.fill.trade_id)}", trade) for where, history in pairs for trade in history.trades],
            [(f"{where}, {shown(line.id)}", line) for where, history in pairs for line in history.lines],
            notes=(*self.notes, *other.notes),
            left_out=(*self.left_out, *other.left_out),
        )

    def __str__(self) -> str:
        times = sorted([trade.fill.at for trade in self.trades] + [line.at for line in self.lines])
        span = f" from {day(times[0])} to {day(times[-1])}" if times else ""
        told = [f"{len(self.trades)} trades and {len(self.lines)} ledger lines{span}"]
        told += [str(note) for note in self.notes]
        told += [f"left out: {error}" for error in self.left_out]
        return "\n".join(told)

    __repr__ = __str__


def day(at: int) -> str:
    """The UTC day of an instant."""
    return datetime.fromtimestamp(at // SECOND, UTC).strftime("%Y-%m-%d")


def forward(told: list[tuple[str, R]], at: Callable[[R], int]) -> list[tuple[str, R]]:
    """What a file tells, oldest first: one that begins with the newest is taken from its end."""
    return told[::-1] if told and at(told[0][1]) > at(told[-1][1]) else told


def gather(
    trades: Iterable[tuple[str, PastTrade]] = (),
    lines: Iterable[tuple[str, Line]] = (),
    *,
    notes: tuple[Note, ...] = (),
    left_out: tuple[BadHistory, ...] = (),
) -> History:
    """A history of what was told, each with the place where it was told.

    Raises `BadHistory` for one id told in two ways, and for one asset counted in two scales.
    """
    once, again = _once(trades, lambda t: (t.fill.venue, t.fill.instrument.symbol, t.fill.trade_id), "trade")
    kept, repeated = _once(lines, lambda line: (line.venue, line.id), "ledger line")
    _check_scales(once, kept)
    doubles = tuple(note for note in (again, repeated) if note.where)
    return History(
        tuple(sorted(once, key=lambda trade: trade.fill.at)),
        tuple(sorted(kept, key=lambda line: line.at)),
        (*notes, *doubles),
        left_out,
    )


def _once(told: Iterable[tuple[str, R]], identity: Callable[[R], Hashable], what: str) -> tuple[list[R], Note]:
    """Each record once, in the order in which they come."""
    seen: dict[Hashable, tuple[str, R]] = {}
    again = []
    for where, record in told:
        key = identity(record)
        known = seen.setdefault(key, (where, record))
        if known[1] is not record:
            if known[1] != record:
                name = shown(" ".join(map(str, key if isinstance(key, tuple) else (key,))))
                raise BadHistory(f"{what} {name} is told in {where} otherwise than in {known[0]}: {_unlike(known[1], record)}")
            again.append(where)
    return [record for _, record in seen.values()], Note(f"{what}s told again, taken once", tuple(again))


def _check_scales(trades: Iterable[PastTrade], lines: Iterable[Line]) -> None:
    assets = {asset for trade in trades for asset in (trade.fill.instrument.base, trade.fill.instrument.quote)}
    assets |= {fee.asset for trade in trades for fee in trade.charged} | {line.asset for line in lines}
    scales: dict[str, int] = {}
    for asset in sorted(assets, key=lambda asset: (asset.code, asset.scale)):
        if scales.setdefault(asset.code, asset.scale) != asset.scale:
            rule = "use one Asset for instruments and ledger"
            raise BadHistory(f"{asset} is counted with {scales[asset.code]} and with {asset.scale} decimal places: {rule}")


def _unlike(one: Any, other: Any) -> str:
    """The first field in which two records of a kind differ."""
    if isinstance(one, PastTrade) and isinstance(other, PastTrade) and one.fill != other.fill:
        one, other = one.fill, other.fill
    for each in fields(type(one)):
        if each.eq and getattr(one, each.name) != getattr(other, each.name):
            return f"{each.name} {shown(str(getattr(other, each.name)))}, not {shown(str(getattr(one, each.name)))}"
    return "they differ"
