"""What a venue says has happened to an account apart from its orders: funding, settlement, liquidation, transfers.

Each is a fact about the account as a whole. On a venue that nets positions the desk splits it among the sleeves whose
slices it concerns, to the unit. `key` makes the same fact the same fact, however often it is told.

This module knows nothing of sleeves.
"""

from __future__ import annotations

from enum import StrEnum

from attrs import field, frozen

from .errors import InvalidMarket
from .market import FundingRate, Instrument
from .money import Amount

__all__ = [
    "AccountFact",
    "Bankrupted",
    "CashFlow",
    "FlowKind",
    "FundingPaid",
    "Liquidated",
    "Settled",
    "Shifted",
    "TransferRefused",
    "Transferred",
]


def _check(fact: object, at: object, words: tuple[object, ...], units: tuple[object, ...]) -> None:
    whole = type(at) is int and all(type(number) is int for number in units)
    if not whole or not all(isinstance(word, str) for word in words):
        raise InvalidMarket(f"{type(fact).__name__} at {at!r} with {words!r} and {units!r}: need whole numbers of units, and text")


def _contract(fact: object, instrument: object) -> None:
    if not isinstance(instrument, Instrument) or instrument.contract is None:
        raise InvalidMarket(f"{type(fact).__name__} concerns a perpetual, not {instrument!r}")


def key(venue: str, kind: str, *parts: str) -> str:
    """What makes a fact the same fact: its parts joined so that no two facts can be joined to one text."""
    return "|".join(part.replace("\\", "\\\\").replace("|", "\\|") for part in (venue, kind, *parts))


@frozen(order=False)
class FundingPaid:
    """Funding was paid on the account's whole position in a perpetual.

    `qty` is the position that the venue paid on, `amount` what the account received in quote units (below zero: paid).
    """

    rate: FundingRate
    qty: int
    amount: int
    id: str
    venue: str = ""
    key: str = field(init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.rate, FundingRate):
            raise InvalidMarket(f"funding is paid at a FundingRate, not at {self.rate!r}")
        _check(self, self.rate.at, (self.id, self.venue), (self.qty, self.amount))
        object.__setattr__(self, "key", key(self.venue, "funding", self.rate.instrument.symbol, self.id))

    @property
    def at(self) -> int:
        return self.rate.at

    @property
    def instrument(self) -> Instrument:
        return self.rate.instrument


@frozen(order=False)
class Settled:
    """The venue moved `amount` quote units of a perpetual's unsettled profit (below zero: loss) to the account's cash.

    Of 0 where it had nothing to move: slices that cancel out for the venue may still owe each other. `fee` is what it charged to what
    is unsettled, in quote units: a liquidator who takes over a loss of 100 for 105 coins is -105 with a fee of 5.
    """

    at: int
    instrument: Instrument
    amount: int
    id: str
    venue: str = ""
    fee: int = 0
    key: str = field(init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        _contract(self, self.instrument)
        _check(self, self.at, (self.id, self.venue), (self.amount, self.fee))
        if self.fee < 0:
            raise InvalidMarket(f"settlement {self.id!r}: a fee of {self.fee} units must not be below zero")
        object.__setattr__(self, "key", key(self.venue, "settled", self.instrument.symbol, self.id))


@frozen(order=False)
class Liquidated:
    """The venue closed a part of the account's position by force.

    `change` is what it did to the position (below zero: sold), `cost` the money at `price`, `fee` what it charged.
    """

    at: int
    instrument: Instrument
    change: int
    price: int
    cost: int
    fee: Amount
    id: str
    venue: str = ""
    key: str = field(init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        _contract(self, self.instrument)
        _check(self, self.at, (self.id, self.venue), (self.change, self.price, self.cost))
        if not self.change or self.price <= 0 or self.cost < 0 or not isinstance(self.fee, Amount):
            rule = "need a change other than zero, price > 0, cost >= 0, and an Amount as fee"
            raise InvalidMarket(f"liquidation {self.id!r} of {self.change} at {self.price} for {self.cost}, fee {self.fee!r}: {rule}")
        if self.fee.asset != self.instrument.quote:
            raise InvalidMarket(f"liquidation {self.id!r} of {self.instrument}: its fee is in {self.instrument.quote}, not {self.fee}")
        object.__setattr__(self, "key", key(self.venue, "liquidated", self.instrument.symbol, self.id))


@frozen(order=False)
class Bankrupted:
    """The account had lost more than it had: others bore `amount` quote units of it, and the account begins at nothing."""

    at: int
    instrument: Instrument
    amount: int
    id: str
    venue: str = ""
    key: str = field(init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        _contract(self, self.instrument)
        _check(self, self.at, (self.id, self.venue), (self.amount,))
        if self.amount <= 0:
            raise InvalidMarket(f"bankruptcy {self.id!r}: {self.amount} units borne by others must be above zero")
        object.__setattr__(self, "key", key(self.venue, "bankrupted", self.instrument.symbol, self.id))


@frozen(order=False)
class Transferred:
    """Coins came into the account (above zero) or left it. `id` is that of the `Transfer` that asked for it, if any did."""

    at: int
    amount: Amount
    id: str
    venue: str = ""
    key: str = field(init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.amount, Amount) or not self.amount.units:
            raise InvalidMarket(f"transfer {self.id!r}: {self.amount!r} must be an Amount other than zero")
        _check(self, self.at, (self.id, self.venue), ())
        object.__setattr__(self, "key", key(self.venue, "transferred", self.amount.asset.code, self.id))


@frozen(order=False)
class Shifted:
    """Coins moved from one sub-account of the venue's account to another. `id` is that of the `Transfer` that asked for it, if any did.

    The account as a whole has as much as before.
    """

    at: int
    amount: Amount
    source: int
    target: int
    id: str
    venue: str = ""
    key: str = field(init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.amount, Amount) or self.amount.units <= 0:
            raise InvalidMarket(f"shift {self.id!r}: {self.amount!r} must be an Amount above zero")
        _check(self, self.at, (self.id, self.venue), (self.source, self.target))
        if self.source < 0 or self.target < 0 or self.source == self.target:
            raise InvalidMarket(f"shift {self.id!r} from sub-account {self.source} to {self.target}: need two, from 0 on")
        object.__setattr__(self, "key", key(self.venue, "shifted", self.amount.asset.code, self.id))


@frozen(order=False)
class TransferRefused:
    """The venue refused a transfer; nothing of it was done."""

    at: int
    id: str
    reason: str

    def __attrs_post_init__(self) -> None:
        _check(self, self.at, (self.id, self.reason), ())


class FlowKind(StrEnum):
    """Why a venue's own ledger says that coins came or went."""

    TRADE = "trade"
    FEE = "fee"
    DEPOSIT = "deposit"
    WITHDRAWAL = "withdrawal"
    FUNDING = "funding"
    SETTLEMENT = "settlement"
    LIQUIDATION = "liquidation"
    REWARD = "reward"
    """Staking, an airdrop, a rebate program: coins that nobody paid for."""
    EARN = "earn"
    """To or from a wallet of the venue's own that lends or stakes coins out."""
    DUST = "dust"
    """The venue turned small rests into another coin."""
    INTEREST = "interest"
    """What coins in the account earned by lying there, or what borrowed ones cost."""
    OTHER = "other"


@frozen(order=False)
class CashFlow:
    """One line of the venue's own ledger: coins that came into the account (above zero) or left it.

    `ref` is what the line follows from: the trade id of a fill, the id of a transfer. `account` is the sub-account whose coins they
    are, where the venue has some. Lines explain what the books cannot: they are compared, and never booked as profit, but for
    interest, which belongs to those whose coins earned it.
    """

    at: int
    amount: Amount
    kind: FlowKind
    id: str
    ref: str = ""
    venue: str = ""
    account: int | None = None
    key: str = field(init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.amount, Amount) or not isinstance(self.kind, FlowKind):
            raise InvalidMarket(f"cash flow {self.id!r} of {self.amount!r}, {self.kind!r}: need an Amount and a FlowKind")
        _check(self, self.at, (self.id, self.ref, self.venue), () if self.account is None else (self.account,))
        object.__setattr__(self, "key", key(self.venue, "flow", self.amount.asset.code, self.id))


AccountFact = FundingPaid | Settled | Liquidated | Bankrupted | Transferred | Shifted
"""Facts that have a key: each is booked once."""
