"""The kinds of record that a journal keeps: all that ever changed, and all that was refused.

With them one can rebuild every balance, status and order, and answer who did what, when, how much and why. Market data
is not journaled; a `Marked` record keeps the prices at which holdings were valued, on a cadence.

A record is a value. It knows nothing of where it is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from attrs import field, frozen

from .errors import LedgerError, VaultError
from .facts import AccountFact, Bankrupted, FundingPaid, Liquidated, Settled, Shifted, Transferred
from .ledger import Entry
from .market import Instrument
from .money import Amount
from .orders import Bundle, Fill, Order, OrderStatus, Transfer

__all__ = [
    "INSIDE",
    "LEFT_OVER",
    "Alert",
    "Answered",
    "Asked",
    "BundleStatus",
    "BundleUpdate",
    "Bundled",
    "Cause",
    "Changed",
    "Crossed",
    "Fact",
    "Instructed",
    "Level",
    "Marked",
    "Opened",
    "OrderUpdate",
    "Placed",
    "Policy",
    "Quarantined",
    "Reconciled",
    "Record",
    "Recovered",
    "Refusal",
    "Residual",
    "key_of",
    "policy_of",
    "words_of",
]

Fact = Fill | AccountFact
"""What has happened at a venue and is booked once, by its key."""


def _words(given: Mapping[str, str]) -> dict[str, str]:
    """What is journaled is the journal's own: the caller's mapping may change after."""
    return dict(given)


def _check_author(record: Opened | Changed) -> None:
    if type(record.at) is not int or not isinstance(record.by, str) or not record.by.strip():
        raise LedgerError(f"a record says when, in whole nanoseconds, and who did it, not {record.at!r} and {record.by!r}: {record}")


def _prices(given: Mapping[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
    return dict(given)


def _watched(given: Mapping[str, tuple[int, int, int]]) -> dict[str, tuple[int, int, int]]:
    return dict(given)


def _pairs(given: Mapping[str, tuple[str, str]]) -> dict[str, tuple[str, str]]:
    return dict(given)


@frozen(order=False)
class Opened:
    """A vault, sleeve, instrument or engine was set up, on these terms."""

    at: int
    by: str
    what: str
    name: str
    terms: Mapping[str, str] = field(factory=dict, converter=_words, hash=False)

    def __attrs_post_init__(self) -> None:
        _check_author(self)


@frozen(order=False)
class Changed:
    """A status or a term of a vault or sleeve was changed by somebody, for a reason."""

    at: int
    by: str
    subject: str
    what: str
    before: str
    after: str
    why: str = ""

    def __attrs_post_init__(self) -> None:
        _check_author(self)
        if not isinstance(self.why, str):
            raise LedgerError(f"a change says why in text, not {self.why!r}")


@frozen(order=False, weakref_slot=False)
class Placed:
    """An order was accepted by the desk and its money held. Journaled before the order leaves the house."""

    at: int
    order: Order
    by: str = ""
    """Who ordered it: an engine, a human, or the desk."""
    closes: bool = False
    """Whether it took no new risk when it was ordered."""
    bundle: str = ""
    """The bundle that it is part of, if any."""
    leg: int = 0
    """Which leg of that bundle it is sent for, from 0; one against the leg's own side rolls it back."""
    notes: Mapping[str, str] = field(factory=dict, converter=_words, hash=False)
    """What gates that let it pass had to say of it, such as what it is expected to bring and to cost. Of a bundle that has them."""


class BundleStatus(StrEnum):
    """How far a bundle has come."""

    RUNNING = "running"
    """Legs are sent one after the other."""
    ROLLING_BACK = "rolling back"
    """A leg failed, or the desk was restarted: what stands alone is being closed."""
    DONE = "done"
    """All that was filled of one leg was matched by the others."""
    NOTHING = "nothing"
    """Nothing of it was filled, or all was rolled back."""
    LEFT = "left"
    """Something stands alone, and was left."""

    @property
    def over(self) -> bool:
        return self is not BundleStatus.RUNNING and self is not BundleStatus.ROLLING_BACK


@frozen(order=False)
class Bundled:
    """A bundle was accepted: all its legs passed the gates. Journaled before its first leg leaves the house.

    `reserves` is what is set aside for each leg until it is sent, in units of the vault's asset, under the bundle's id.
    """

    at: int
    id: str
    sleeve: str
    by: str
    bundle: Bundle
    reserves: tuple[int, ...]
    notes: Mapping[str, str] = field(factory=dict, converter=_words, hash=False)
    """What gates that let it pass had to say of it, such as what it is expected to bring and to cost."""


@frozen(order=False)
class BundleUpdate:
    """What became of a bundle."""

    at: int
    id: str
    status: BundleStatus
    why: str = ""


@frozen(order=False)
class Crossed:
    """Two sleeves wanted to trade against each other: it was done inside at one price, and never went to the venue.

    `buy` and `sell` are the ids of their orders; the two fills follow, with no fee. `saved` is what both together would
    have paid for the spread, in units of the quote asset, their fees apart.
    """

    at: int
    instrument: Instrument
    qty: int
    price: int
    buy: str
    sell: str
    saved: int = 0


INSIDE = "inside"
"""What stands for the venue in fills that two sleeves made with each other."""
LEFT_OVER = "left over after a trade inside"
"""Why an order is off that never left the house: what is left of it is an order of its own, or less than the venue takes."""


@frozen(order=False)
class OrderUpdate:
    """What became of an order."""

    at: int
    order_id: str
    status: OrderStatus
    reason: str = ""


@frozen(order=False)
class Refusal:
    """A wish that a gate refused: which gate, why as a code, and the numbers that decided.

    `times` counts equal refusals in a row that this record stands for, so that an engine that asks each tick does
    not flood the journal.
    """

    at: int
    sleeve: str
    gate: str
    reason: str
    numbers: Mapping[str, str] = field(factory=dict, converter=_words, hash=False)
    wish: str = ""
    times: int = 1

    def __str__(self) -> str:
        numbers = ", ".join(f"{name} {value}" for name, value in self.numbers.items())
        return f"{self.gate} refused {self.wish or 'a wish'} of {self.sleeve}: {self.reason}" + (f" ({numbers})" if numbers else "")


class Level(StrEnum):
    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


@frozen(order=False)
class Alert:
    """Something that a human should know, under a stable code."""

    at: int
    level: Level
    subject: str
    code: str
    text: str


@frozen(order=False)
class Marked:
    """The prices, by symbol in price units, at which holdings are valued from here on, and when each was seen.

    `watched` are, by sleeve whose gates look at its profit, (day, profit at its start, highest profit) in units of its
    vault's asset, so that a loss of today is known after a restart.
    """

    at: int
    prices: Mapping[str, tuple[int, int]] = field(factory=dict, converter=_prices, hash=False)
    watched: Mapping[str, tuple[int, int, int]] = field(factory=dict, converter=_watched, hash=False)


@frozen(order=False)
class Asked:
    """A transfer was asked for. Journaled before it leaves the house, so that its id is never used twice."""

    at: int
    by: str
    vault: str
    transfer: Transfer
    sleeve: str = ""
    """Whose coins it moves between sub-accounts, where it moves some."""


@frozen(order=False)
class Instructed:
    """Somebody instructed the desk, by a request id that no other instruction ever has. Journaled before anything of it is done.

    What follows from it is journaled as done by `author`. `terms` are its fields as text, see `sleeves.instructions`.
    """

    at: int
    by: str
    id: str
    what: str
    terms: Mapping[str, str] = field(factory=dict, converter=_words, hash=False)

    @property
    def author(self) -> str:
        """Who does what follows from it: who instructed, and by which request."""
        return f"{self.by}/{self.id}"


@frozen(order=False)
class Answered:
    """What an instruction was answered: a code, a sentence, and the numbers behind it. One that bears none was cut off by a crash."""

    at: int
    id: str
    code: str
    message: str
    evidence: Mapping[str, str] = field(factory=dict, converter=_words, hash=False)


@frozen(order=False)
class Quarantined:
    """A fact that is told and not booked: nobody is found for it, or it came before with other content."""

    at: int
    fact: Fact
    why: str


class Cause(StrEnum):
    """Why the venue holds more, or less, of an asset than the books say."""

    MANUAL_TRADE = "manual_trade"
    """A fill of an order that is none of ours: somebody traded by hand, or another program did."""
    DEPOSIT = "deposit"
    WITHDRAWAL = "withdrawal"
    REWARD = "reward"
    """An airdrop, a staking reward: coins that nobody paid for."""
    EARN = "earn"
    """Moved to, or from, a wallet of the venue that lends or stakes coins out."""
    FEE = "fee"
    """A fee in a coin that its sleeve does not have."""
    DUST = "dust"
    INTEREST = "interest"
    """Coins earned it by lying there, or it is what borrowed ones cost."""
    FUNDING = "funding"
    SETTLEMENT = "settlement"
    LIQUIDATION = "liquidation"
    UNKNOWN = "unknown"


@frozen(order=False)
class Residual:
    """What a venue holds beyond the books (below zero: lacks), under its cause: it stands in SUSPENSE until somebody adopts it.

    `ref` is the key of the fact that waits in quarantine and explains it, `line` that of the line of the venue's own ledger.
    """

    at: int
    id: str
    vault: str
    amount: Amount
    cause: Cause
    ref: str = ""
    line: str = ""
    note: str = ""

    @property
    def of(self) -> str:
        """Which SUSPENSE account of the vault it stands in."""
        return f"{self.cause}:{self.id}"

    def __str__(self) -> str:
        return f"{self.id} {self.amount} {self.cause}" + (f" ({self.note})" if self.note else "")


@frozen(order=False)
class Reconciled:
    """The books were held against the venue: by asset code, what it says it holds and what the books then say, in text."""

    at: int
    by: str
    wallet: str
    holdings: Mapping[str, tuple[str, str]] = field(factory=dict, converter=_pairs, hash=False)


class Policy(StrEnum):
    """What sleeves do once a desk is recovered."""

    RESUME = "resume"
    """Each goes on as its status says."""
    HOLD = "hold"
    """Those that were active are paused until a human resumes them."""
    FLATTEN = "flatten"
    """All are killed and their positions sold."""


def policy_of(policy: str) -> Policy:
    """A policy by its name. Raises `VaultError` for what is none."""
    try:
        return Policy(policy)
    except ValueError:
        raise VaultError(f"policy {policy!r} is none of {', '.join(Policy)}") from None


@frozen(order=False)
class Recovered:
    """A desk was opened again on this journal, and what was found when it was."""

    at: int
    by: str
    policy: Policy
    found: Mapping[str, str] = field(factory=dict, converter=_words, hash=False)


Record = (
    Opened
    | Changed
    | Entry
    | Placed
    | Bundled
    | BundleUpdate
    | Crossed
    | OrderUpdate
    | Fact
    | Refusal
    | Alert
    | Marked
    | Asked
    | Instructed
    | Answered
    | Quarantined
    | Residual
    | Reconciled
    | Recovered
)


_KEYED = frozenset({Fill, FundingPaid, Settled, Liquidated, Bankrupted, Transferred, Shifted})


def key_of(record: Record) -> str | None:
    """What no other record of a journal may bear: the key of a fact, the id of an order, a bundle, a transfer or an instruction."""
    if type(record) in _KEYED:
        return record.key  # type: ignore[union-attr]
    if isinstance(record, Placed):
        return f"order|{record.order.id}"
    if isinstance(record, Bundled):
        return f"bundle|{record.id}"
    if isinstance(record, Asked):
        return f"transfer|{record.transfer.id}"
    if isinstance(record, Instructed):
        return f"instruction|{record.id}"
    if isinstance(record, Answered):
        return f"answer|{record.id}"
    return f"residual|{record.id}" if isinstance(record, Residual) else None


def words_of(record: Record) -> str:
    """What somebody did, in a few words: for the answer to an instruction."""
    if isinstance(record, Placed):
        return f"order {record.order.id}"
    if isinstance(record, Bundled):
        return f"bundle {record.id}"
    if isinstance(record, Asked):
        return f"transfer {record.transfer.id}"
    if isinstance(record, Entry):
        return f"{record.kind} {record.ref}".rstrip()
    if isinstance(record, Changed):
        return f"{record.subject} {record.what}: {record.before or 'none'} -> {record.after or 'none'}"
    return type(record).__name__.lower()
