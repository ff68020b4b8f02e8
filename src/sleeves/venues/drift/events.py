"""What the program says that it did: typed events, read from a transaction's log, and written for a stand-in.

    for event in events_of(DRIFT_V2, logs):
        match event:
            case OrderPlaced(): ...

Most events are "Program data:" lines. Orders placed and order actions are not: the program writes them, in base64 too, as plain
"Program log:" lines. Both are read, and only where the log's call stack says that this deployment's program spoke.
It knows nothing of who "we" are, and judges nothing. A truncated log is no empty log: `events_of` raises.
Sources: `state/events.rs` of both programs (Drift 2.162, Velocity 2.165).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum

from attrs import field, frozen

from ...errors import VenueError
from .deployment import Deployment

__all__ = [
    "Action",
    "BadEvent",
    "DepositReason",
    "Deposited",
    "Event",
    "FundingPayment",
    "FundingRate",
    "Liquidation",
    "LiquidationKind",
    "Log",
    "Other",
    "OrderAction",
    "OrderPlaced",
    "PlacedOrder",
    "PnlSettled",
    "SpotInterest",
    "Swapped",
    "TruncatedLog",
    "UnknownEvent",
    "UserCreated",
    "UserDeleted",
    "Why",
    "encode_event",
    "events_of",
    "log_line",
    "read_event",
    "read_log",
]


class BadEvent(VenueError):
    """A known event with bytes that it cannot have, or a log whose calls do not nest."""


class TruncatedLog(VenueError):
    """The node cut the log: there may be events that are not in it. `events` are those that are."""

    def __init__(self, message: str, events: list[Event]) -> None:
        super().__init__(message)
        self.events = events


class Action(IntEnum):
    """What happened to an order."""

    PLACE = 0
    CANCEL = 1
    FILL = 2
    TRIGGER = 3
    EXPIRE = 4


class Why(IntEnum):
    """The explanation of an order action, by its number on the wire."""

    NONE = 0
    INSUFFICIENT_FREE_COLLATERAL = 1
    ORACLE_PRICE_BREACHED_LIMIT_PRICE = 2
    MARKET_ORDER_FILLED_TO_LIMIT_PRICE = 3
    ORDER_EXPIRED = 4
    LIQUIDATION = 5
    ORDER_FILLED_WITH_AMM = 6
    ORDER_FILLED_WITH_AMM_JIT = 7
    ORDER_FILLED_WITH_MATCH = 8
    ORDER_FILLED_WITH_MATCH_JIT = 9
    MARKET_EXPIRED = 10
    RISK_INCREASING_ORDER = 11
    REDUCE_ONLY_ORDER_INCREASED_POSITION = 12
    ORDER_FILL_WITH_SERUM = 13
    NO_BORROW_LIQUIDITY = 14
    ORDER_FILL_WITH_PHOENIX = 15
    ORDER_FILLED_WITH_AMM_JIT_LP_SPLIT = 16
    ORDER_FILLED_WITH_LP_JIT = 17
    DERISK_LP = 18
    ORDER_FILLED_WITH_OPENBOOK_V2 = 19
    TRANSFER_PERP_POSITION = 20


class DepositReason(IntEnum):
    """Why a deposit or a withdrawal was recorded."""

    NONE = 0
    TRANSFER = 1
    BORROW = 2
    REPAY_BORROW = 3
    REWARD = 4


class LiquidationKind(IntEnum):
    """Which of its six forms a liquidation took."""

    PERP = 0
    SPOT = 1
    BORROW_FOR_PERP_PNL = 2
    PERP_PNL_FOR_DEPOSIT = 3
    PERP_BANKRUPTCY = 4
    SPOT_BANKRUPTCY = 5


@frozen(kw_only=True)
class UserCreated:
    """A sub-account was created. `at` is unix seconds, here and below; addresses are base58 text."""

    at: int
    authority: str
    user: str
    sub: int
    name: str
    referrer: str


@frozen(kw_only=True)
class UserDeleted:
    """A sub-account was closed; `keeper` where somebody else did it."""

    at: int
    authority: str
    user: str
    sub: int
    keeper: str | None = None


@frozen(kw_only=True)
class Deposited:
    """Tokens went in or out of a sub-account: deposit, withdrawal, or one side of a transfer."""

    at: int
    authority: str
    user: str
    withdrawn: bool
    id: int
    amount: int
    """Token units, never negative."""
    market: int
    oracle_price: int
    market_deposits: int
    market_borrows: int
    deposit_index: int
    borrow_index: int
    total_deposits: int
    total_withdraws: int
    reason: DepositReason = DepositReason.NONE
    other: str | None = None
    """The other sub-account of a transfer."""
    signer: str | None = None
    after: int | None = None
    """The sub-account's tokens in this market afterwards, token units, negative for a borrow."""


@frozen(kw_only=True)
class SpotInterest:
    """The interest of a spot market was brought up to date."""

    at: int
    market: int
    deposits: int
    deposit_index: int
    borrows: int
    borrow_index: int
    optimal_utilization: int
    optimal_rate: int
    max_rate: int


@frozen(kw_only=True)
class FundingPayment:
    """A position was paid, or paid, funding. `payment` in quote units 1e6: positive was received."""

    at: int
    authority: str
    user: str
    market: int
    payment: int
    base: int
    last_funding: int
    funding_long: int
    funding_short: int


@frozen(kw_only=True)
class FundingRate:
    """A perpetual's funding was updated. Rates 1e9 quote per base: divide by the oracle's average for a ratio."""

    at: int
    id: int
    market: int
    rate: int
    rate_long: int
    rate_short: int
    cumulative_long: int
    cumulative_short: int
    oracle_twap: int
    mark_twap: int
    revenue: int | None = None
    """Drift only."""
    base_with_amm: int
    base_with_lp: int | None = None
    """Drift only."""


@frozen(kw_only=True)
class PlacedOrder:
    """An order as it was placed, all its bytes."""

    slot: int
    price: int
    base: int
    filled: int
    quote_filled: int
    trigger_price: int
    auction_start: int
    auction_end: int
    expires: int
    oracle_offset: int
    id: int
    market: int
    status: int
    kind: int
    perp: bool
    user_id: int
    held_long: bool
    """The direction of the position when the order was placed."""
    long: bool
    reduce_only: bool
    post_only: bool
    immediate: bool
    trigger: int
    auction_duration: int
    posted_slot_tail: int
    flags: int


@frozen(kw_only=True)
class OrderPlaced:
    """OrderRecord: an order stands in a sub-account now."""

    at: int
    user: str
    order: PlacedOrder


@frozen(kw_only=True)
class OrderAction:
    """OrderActionRecord: an order was placed, cancelled, filled, triggered or expired. Quote units 1e6, base 1e9, prices 1e6.

    `taker_filled`, `maker_filled` and the quote ones are of the whole order so far, not of this fill.
    """

    at: int
    action: Action
    why: Why
    market: int
    perp: bool
    filler: str | None = None
    filler_reward: int | None = None
    fill_id: int | None = None
    base: int | None = None
    quote: int | None = None
    taker_fee: int | None = None
    maker_fee: int | None = None
    """Negative for a rebate."""
    referrer_reward: int | None = None
    surplus: int | None = None
    spot_method_fee: int | None = None
    taker: str | None = None
    taker_order: int | None = None
    taker_long: bool | None = None
    taker_base: int | None = None
    taker_filled: int | None = None
    taker_quote_filled: int | None = None
    maker: str | None = None
    maker_order: int | None = None
    maker_long: bool | None = None
    maker_base: int | None = None
    maker_filled: int | None = None
    maker_quote_filled: int | None = None
    oracle_price: int
    flags: int = 0
    taker_entry: int | None = None
    taker_existing_base: int | None = None
    maker_entry: int | None = None
    maker_existing_base: int | None = None
    trigger_price: int | None = None
    builder: int | None = None
    builder_fee: int | None = None


@frozen(kw_only=True)
class Liquidation:
    """LiquidationRecord. `detail` holds the fields of the form that `kind` names, under the program's names."""

    at: int
    kind: LiquidationKind
    user: str
    liquidator: str
    requirement: int
    collateral: int
    freed: int
    id: int
    bankrupt: bool
    cancelled: tuple[int, ...] = ()
    detail: Mapping[str, object] = field(factory=dict)
    isolated: bool = False


@frozen(kw_only=True)
class PnlSettled:
    """SettlePnlRecord: `pnl` (quote 1e6) went from the position's quote amount to the quote balance."""

    at: int
    user: str
    market: int
    pnl: int
    base: int
    quote_after: int
    entry: int
    price: int
    expired: bool = False


@frozen(kw_only=True)
class Swapped:
    """SwapRecord: one spot balance was exchanged for another."""

    at: int
    user: str
    amount_out: int
    amount_in: int
    out_market: int
    in_market: int
    out_price: int
    in_price: int
    fee: int


@frozen
class Other:
    """An event that this deployment's program has, which nothing here reads further: its name and its fields by the program's names."""

    name: str
    fields: Mapping[str, object]


@frozen
class UnknownEvent:
    """A "Program data:" line of the program whose first eight bytes are no event that this version knows."""

    discriminator: bytes
    data: bytes = field(repr=False)


Event = (
    UserCreated
    | UserDeleted
    | Deposited
    | SpotInterest
    | FundingPayment
    | FundingRate
    | OrderPlaced
    | OrderAction
    | Liquidation
    | PnlSettled
    | Swapped
    | Other
    | UnknownEvent
)


@frozen
class Log:
    """What was read of a log: the events in order, and whether the log was whole."""

    events: tuple[Event, ...]
    complete: bool


def read_event(deployment: Deployment, data: bytes) -> Event:
    """One event from its bytes, discriminator first. Raises `BadEvent` for a known event with other bytes than it has."""
    raise NotImplementedError


def encode_event(deployment: Deployment, event: Event) -> bytes:
    """The bytes that the program would write for this event, discriminator first."""
    raise NotImplementedError


def log_line(deployment: Deployment, event: Event) -> str:
    """The line of the log that holds this event, in the form that the program uses for it."""
    raise NotImplementedError


def read_log(deployment: Deployment, logs: Iterable[str]) -> Log:
    """The events of this deployment's program in a transaction's log. A cut log is marked, not refused."""
    raise NotImplementedError


def events_of(deployment: Deployment, logs: Iterable[str]) -> list[Event]:
    """The events of this deployment's program in a transaction's log, in order. Raises `TruncatedLog` where the log was cut."""
    raise NotImplementedError
