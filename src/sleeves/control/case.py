"""One instruction among the things of its desk: what it names, what it has led to so far. Nothing here moves anything."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from attrs import define, field

from ..desk import Desk
from ..errors import (
    AssetMismatch,
    InvalidAmount,
    InvalidMarket,
    VaultError,
    VenueRejected,
    VenueUnavailable,
    VenueUnknown,
    WrongStatus,
)
from ..facts import Settled, Transferred
from ..instructions import DESK, Answer, CloseAll, Code, Instruction, Kill, Settle
from ..market import Instrument
from ..money import Amount, Asset
from ..orders import Command, OrderStatus
from ..protocols import Venue
from ..records import Alert, Changed, OrderUpdate, Record
from ..seat import Seat
from ..sleeve import Sleeve
from ..vault import CoreVault

__all__ = ["CODES", "STANDING", "Carry", "Case", "Deed", "No", "Told"]

STANDING = frozenset({"status", "filled", "reason", "pending", "open", "left", "residual", "settled"})
"""Evidence that says how it stood when it was asked, not what it led to."""

CODES: Sequence[tuple[type[Exception], Code]] = (
    (WrongStatus, Code.WRONG_STATUS),
    (InvalidAmount, Code.BAD_AMOUNT),
    (AssetMismatch, Code.BAD_AMOUNT),
    (InvalidMarket, Code.BAD_AMOUNT),
    (VaultError, Code.VAULT_REFUSED),
    (VenueRejected, Code.REJECTED),
    (VenueUnavailable, Code.UNAVAILABLE),
    (VenueUnknown, Code.UNKNOWN),
)
"""What an error of the house is answered."""

Carry = Callable[[Sequence[Command]], Awaitable[None]]
"""Has the desk's commands carried out at their venues, and notes what they led to."""


class No(Exception):
    """It cannot be done, for this reason: an answer on its way out."""

    def __init__(self, code: Code, message: str, **evidence: object) -> None:
        super().__init__(message)
        self.code, self.evidence = code, {name: str(value) for name, value in evidence.items()}


@define(eq=False)
class Told:
    """What venues have said in this process of what instructions led to, where the desk itself does not keep it."""

    sent: set[str] = field(factory=set)
    """Transfers that a venue took without a word."""
    lost: set[str] = field(factory=set)
    """Transfers of which an alert says that their fate is unknown."""
    transfers: dict[str, tuple[Code, str]] = field(factory=dict)
    """What became of transfers."""
    settling: dict[str, list[str]] = field(factory=dict)
    """By symbol: requests that wait for a settlement."""
    settled: dict[str, str] = field(factory=dict)
    """By request: what was settled."""

    def hear(self, record: Record) -> None:
        """The next record of the journal."""
        if isinstance(record, Transferred):
            self.transfers[record.id] = Code.CONFIRMED, str(record.amount)
        elif isinstance(record, Changed) and record.what.startswith("transfer ") and record.after == "refused":
            self.transfers[record.what.removeprefix("transfer ")] = Code.REFUSED, record.why
        elif isinstance(record, Alert) and record.code == "transfer_unknown":
            self.lost.update(word.strip(":;,.") for word in record.text.split() if "-transfer-" in word)
        elif isinstance(record, Settled):
            for request in self.settling.pop(record.instrument.symbol, ()):
                self.settled[request] = str(Amount(record.amount, record.instrument.quote))


@define(eq=False)
class Case:
    """One instruction, and how it stands by the desk: nothing here moves anything."""

    desk: Desk
    venues: Mapping[str, Venue]
    instruction: Instruction
    told: Told
    traces: dict[str, str] = field(factory=dict)
    """What it has led to so far, by kind: ids of orders, of a transfer."""
    heard: dict[str, tuple[Code, str]] = field(factory=dict)
    """By id of an order or a transfer: why its venue did not simply take it."""

    def say(self, code: Code, message: str, **evidence: object) -> Answer:
        words = {name: str(value) for name, value in evidence.items() if value is not None}
        return Answer(self.instruction.id, code, message, self.traces | words)

    def left_traces(self, code: Code) -> bool:
        """Whether the desk can tell how it stands, from what it led to; one that was cut off may have led to nothing."""
        traced = any(kind in self.traces for kind in ("orders", "canceled", "transfer"))
        return traced or (code is not Code.UNKNOWN and isinstance(self.instruction, (Kill, CloseAll, Settle)))

    def coins(self, asset: Asset, text: str) -> Amount:
        """An amount of an asset, above zero."""
        coins = asset(text)
        if coins.units <= 0:
            raise No(Code.BAD_AMOUNT, f"{coins}: the amount must be above zero", amount=coins)
        return coins

    # -- what is named ---------------------------------------------------------------------------------------------------

    def sleeve(self, name: str) -> Sleeve:
        sleeves = {name: sleeve for vault in self.desk.treasury.vaults for name, sleeve in vault.sleeves.items()}
        if name not in sleeves:
            raise No(Code.UNKNOWN_SLEEVE, f"no sleeve {name!r} at this desk", sleeve=name, known=" ".join(sleeves))
        return sleeves[name]

    def vault(self, name: str) -> CoreVault:
        vaults = {vault.owner: vault for vault in self.desk.treasury.vaults}
        if name not in vaults:
            raise No(Code.UNKNOWN_VAULT, f"no vault {name!r} at this desk", vault=name, known=" ".join(vaults))
        return vaults[name]

    def target(self, name: str) -> Sleeve | CoreVault | Desk:
        if name == DESK:
            return self.desk
        return self.vault(name) if ":" in name else self.sleeve(name)

    def sleeves(self, name: str) -> list[Sleeve]:
        target = self.target(name)
        if isinstance(target, Sleeve):
            return [target]
        vaults = self.desk.treasury.vaults if isinstance(target, Desk) else [target]
        return [sleeve for vault in vaults for sleeve in vault.sleeves.values()]

    def market(self, symbol: str) -> Instrument:
        known = self.desk.books.instruments
        if symbol not in known:
            raise No(Code.UNKNOWN_MARKET, f"no instrument {symbol!r} at this desk", market=symbol, known=" ".join(known))
        return known[symbol]

    def venue(self, name: str) -> Venue:
        """The venue of this name; the only one where none is named."""
        if not name and len(self.venues) == 1:
            return next(iter(self.venues.values()))
        if name not in self.venues:
            what = f"no venue {name!r} here" if name else "which venue is it?"
            raise No(Code.UNKNOWN_VENUE, what, venue=name, known=" ".join(self.venues))
        return self.venues[name]

    def venues_of(self, market: Instrument) -> list[Venue]:
        """Where an order in it goes, or may go."""
        return [self.venue(market.venue)] if market.venue and len(self.venues) > 1 else list(self.venues.values())

    # -- what is asked of the desk -----------------------------------------------------------------------------------------

    def orders(self) -> dict[str, OrderStatus]:
        """The orders that it has led to, and what became of each."""
        return {name: self.desk.status_of(name) for name in self.traces.get("orders", "").split()}

    def pending(self, kind: str) -> list[str]:
        """Of its orders of a kind (`orders`, `canceled`), those that may still be on the book."""
        return [name for name in self.traces.get(kind, "").split() if not self.desk.status_of(name).done]

    def why_off(self, order_id: str) -> tuple[Code, str]:
        """Why an order was rejected."""
        if order_id in self.heard:
            return self.heard[order_id]
        reasons = [
            r.reason for r in self.desk.books.journal.order(order_id) if isinstance(r, OrderUpdate) and r.status is OrderStatus.REJECTED
        ]
        return Code.REJECTED, reasons[-1] if reasons else "no reason given"

    def seat(self, sleeve: Sleeve) -> Seat:
        """Where a sleeve's engine sits."""
        seat = self.desk._seats.get(sleeve.name)
        if seat is None:
            raise No(Code.VAULT_REFUSED, f"no engine sits at {sleeve.name}", sleeve=sleeve.name)
        return seat


@define(eq=False)
class Deed(Case):
    """One instruction while it is carried out."""

    carry: Carry = field(kw_only=True)
