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

import re
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import IntEnum
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final

from attrs import field, fields, frozen

from ...errors import InvalidMarket, VenueError
from .borsh import BadBytes, Record, blank, pack, unpack
from .deployment import Deployment, Feature
from .words import OrderKind, OrderStatus, Trigger, name_bytes, name_text

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
    "OrderAction",
    "OrderPlaced",
    "Other",
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


_PARTS: Final = (
    "liquidate_perp",
    "liquidate_spot",
    "liquidate_borrow_for_perp_pnl",
    "liquidate_perp_pnl_for_deposit",
    "perp_bankruptcy",
    "spot_bankruptcy",
)


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

    @property
    def part(self) -> str:
        """The name of the record's part that this form fills."""
        return _PARTS[self]


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
    status: OrderStatus
    kind: OrderKind
    perp: bool
    user_id: int
    held_long: bool
    """The direction of the position when the order was placed."""
    long: bool
    reduce_only: bool
    post_only: bool
    immediate: bool
    trigger: Trigger
    auction_duration: int
    posted_slot_tail: int
    flags: int
    unused: bytes = field(default=b"", repr=False)
    """What the program keeps in the bytes after the last field, as it was; empty for zeros."""


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
    """LiquidationRecord. `parts` holds its six forms under the program's names, all zeros but one: `detail`."""

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
    parts: Mapping[str, Mapping[str, Any]] = field(factory=dict, repr=False)
    """By `LiquidationKind.part`; a part that is left out is written as zeros."""
    flags: int | None = 0
    """Bit 1: it was of an isolated position. None where the record was written by a program that had no flags yet."""

    @property
    def isolated(self) -> bool:
        """Whether it was of an isolated position; a program without flags had none."""
        return bool((self.flags or 0) & 1)

    @property
    def detail(self) -> Mapping[str, Any]:
        """The fields of the form that `kind` names. Raises `KeyError` where it is not there."""
        return self.parts[self.kind.part]


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
    """An event that this deployment's program has, which nothing here reads further. `data` is what follows the discriminator."""

    name: str
    data: bytes = field(repr=False)


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
    """What was read of a log. Of a transaction that `failed` nothing happened, so it has no events."""

    events: tuple[Event, ...]
    complete: bool
    """False where the node cut the log, or kept none: there may be events that are not here."""
    failed: bool = False


MARK: Final = 8
"""Bytes of a discriminator."""
KNOWN: Final = frozenset({"before 2.142", "2.162", "2.165"})
"""The versions of the program whose events are known."""

_NEW_USER = """
ts i64 at
user_authority key authority
user key user
sub_account_id u16 sub
name name name
referrer key referrer
"""
_DELETE_USER = """
ts i64 at
user_authority key authority
user key user
sub_account_id u16 sub
keeper ?key keeper
"""
_DEPOSIT = """
ts i64 at
user_authority key authority
user key user
direction yes withdrawn
deposit_record_id u64 id
amount u64 amount
market_index u16 market
oracle_price i64 oracle_price
market_deposit_balance u128 market_deposits
market_withdraw_balance u128 market_borrows
market_cumulative_deposit_interest u128 deposit_index
market_cumulative_borrow_interest u128 borrow_index
total_deposits_after u64 total_deposits
total_withdraws_after u64 total_withdraws
explanation reason reason
transfer_user ?key other
signer ?key signer
user_token_amount_after i128 after
"""
_INTEREST = """
ts i64 at
market_index u16 market
deposit_balance u128 deposits
cumulative_deposit_interest u128 deposit_index
borrow_balance u128 borrows
cumulative_borrow_interest u128 borrow_index
optimal_utilization u32 optimal_utilization
optimal_borrow_rate u32 optimal_rate
max_borrow_rate u32 max_rate
"""
_FUNDING_PAYMENT = """
ts i64 at
user_authority key authority
user key user
market_index u16 market
funding_payment i64 payment
base_asset_amount i64 base
user_last_cumulative_funding i64 last_funding
amm_cumulative_funding_long i128 funding_long
amm_cumulative_funding_short i128 funding_short
"""
_FUNDING_RATE = """
ts i64 at
record_id u64 id
market_index u16 market
funding_rate i64 rate
funding_rate_long i128 rate_long
funding_rate_short i128 rate_short
cumulative_funding_rate_long i128 cumulative_long
cumulative_funding_rate_short i128 cumulative_short
oracle_price_twap i64 oracle_twap
mark_price_twap u64 mark_twap
period_revenue i64 revenue
base_asset_amount_with_amm i128 base_with_amm
base_asset_amount_with_unsettled_lp i128 base_with_lp
"""
_FUNDING_RATE_OF_DRIFT = ("period_revenue", "base_asset_amount_with_unsettled_lp")
_ORDER = """
slot u64 slot
price u64 price
base_asset_amount u64 base
base_asset_amount_filled u64 filled
quote_asset_amount_filled u64 quote_filled
trigger_price u64 trigger_price
auction_start_price i64 auction_start
auction_end_price i64 auction_end
max_ts i64 expires
oracle_price_offset OFFSET oracle_offset
order_id u32 id
market_index u16 market
status status status
order_type kind kind
market_type yes perp
user_order_id u8 user_id
existing_position_direction long held_long
direction long long
reduce_only bool reduce_only
post_only bool post_only
immediate_or_cancel bool immediate
trigger_condition trigger trigger
auction_duration u8 auction_duration
posted_slot_tail u8 posted_slot_tail
bit_flags u8 flags
padding UNUSED unused
"""
_ACTION = """
ts i64 at
action action action
action_explanation why why
market_index u16 market
market_type yes perp
filler ?key filler
filler_reward ?u64 filler_reward
fill_record_id ?u64 fill_id
base_asset_amount_filled ?u64 base
quote_asset_amount_filled ?u64 quote
taker_fee ?u64 taker_fee
maker_fee ?i64 maker_fee
referrer_reward ?u32 referrer_reward
quote_asset_amount_surplus ?i64 surplus
spot_fulfillment_method_fee ?u64 spot_method_fee
taker ?key taker
taker_order_id ?u32 taker_order
taker_order_direction ?long taker_long
taker_order_base_asset_amount ?u64 taker_base
taker_order_cumulative_base_asset_amount_filled ?u64 taker_filled
taker_order_cumulative_quote_asset_amount_filled ?u64 taker_quote_filled
maker ?key maker
maker_order_id ?u32 maker_order
maker_order_direction ?long maker_long
maker_order_base_asset_amount ?u64 maker_base
maker_order_cumulative_base_asset_amount_filled ?u64 maker_filled
maker_order_cumulative_quote_asset_amount_filled ?u64 maker_quote_filled
oracle_price i64 oracle_price
bit_flags u8 flags
taker_existing_quote_entry_amount ?u64 taker_entry
taker_existing_base_asset_amount ?u64 taker_existing_base
maker_existing_quote_entry_amount ?u64 maker_entry
maker_existing_base_asset_amount ?u64 maker_existing_base
trigger_price ?u64 trigger_price
builder_idx ?u8 builder
builder_fee ?u64 builder_fee
"""
_LIQUIDATION = """
ts i64 at
liquidation_type liquidation kind
user key user
liquidator key liquidator
margin_requirement u128 requirement
total_collateral i128 collateral
margin_freed u64 freed
liquidation_id u16 id
bankrupt bool bankrupt
canceled_order_ids *u32 cancelled
liquidate_perp PART liquidate_perp
liquidate_spot PART liquidate_spot
liquidate_borrow_for_perp_pnl PART liquidate_borrow_for_perp_pnl
liquidate_perp_pnl_for_deposit PART liquidate_perp_pnl_for_deposit
perp_bankruptcy PART perp_bankruptcy
spot_bankruptcy PART spot_bankruptcy
bit_flags u8 flags
"""
_SETTLE = """
ts i64 at
user key user
market_index u16 market
pnl i128 pnl
base_asset_amount i64 base
quote_asset_amount_after i64 quote_after
quote_entry_amount i64 entry
settle_price i64 price
explanation yes expired
"""
_SWAP = """
ts i64 at
user key user
amount_out u64 amount_out
amount_in u64 amount_in
out_market_index u16 out_market
in_market_index u16 in_market
out_oracle_price i64 out_price
in_oracle_price i64 in_price
fee u64 fee
"""
_FORMS = {
    "liquidate_perp": (
        "market_index u16, oracle_price i64, base_asset_amount i64, quote_asset_amount i64, lp_shares u64, fill_record_id u64, "
        "user_order_id u32, liquidator_order_id u32, liquidator_fee u64, if_fee u64"
    ),
    "liquidate_spot": (
        "asset_market_index u16, asset_price i64, asset_transfer u128, liability_market_index u16, liability_price i64, "
        "liability_transfer u128, if_fee u64"
    ),
    "liquidate_borrow_for_perp_pnl": (
        "perp_market_index u16, market_oracle_price i64, pnl_transfer u128, liability_market_index u16, liability_price i64, "
        "liability_transfer u128"
    ),
    "liquidate_perp_pnl_for_deposit": (
        "perp_market_index u16, market_oracle_price i64, pnl_transfer u128, asset_market_index u16, asset_price i64, asset_transfer u128"
    ),
    "perp_bankruptcy": (
        "market_index u16, pnl i128, if_payment u128, clawback_user ?key, clawback_user_payment ?u128, cumulative_funding_rate_delta i128"
    ),
    "spot_bankruptcy": "market_index u16, borrow_amount u128, if_payment u128, cumulative_deposit_interest_delta u128",
}
_OTHERS_BOTH = (
    "SignedMsgOrderRecord InsuranceFundRecord InsuranceFundStakeRecord SpotMarketVaultDepositRecord RevenueShareSettleRecord "
    "LPSettleRecord LPSwapRecord LPMintRedeemRecord LPBorrowLendDepositRecord"
)
_OTHERS_DRIFT = (
    f"{_OTHERS_BOTH} CurveRecord LPRecord InsuranceFundSwapRecord TransferProtocolIfSharesToRevenuePoolRecord FuelSweepRecord "
    "FuelSeasonRecord"
)
_OTHERS_VELOCITY = f"{_OTHERS_BOTH} AmmCurveChanged TransferFeeAndPnlPoolRecord ProtocolFeeWithdrawRecord PerpMarketFeeSweepRecord"
_SHOWN_AS_MESSAGES = (
    "OrderRecord OrderActionRecord LPRecord InsuranceFundSwapRecord RevenueShareSettleRecord LPSwapRecord LPMintRedeemRecord "
    "LPBorrowLendDepositRecord"
)
_STATUSES = (OrderStatus.INIT, OrderStatus.OPEN, OrderStatus.FILLED, OrderStatus.CANCELED)
_KINDS = (OrderKind.MARKET, OrderKind.LIMIT, OrderKind.TRIGGER_MARKET, OrderKind.TRIGGER_LIMIT, OrderKind.ORACLE)
_TRIGGERS = (Trigger.ABOVE, Trigger.BELOW, Trigger.TRIGGERED_ABOVE, Trigger.TRIGGERED_BELOW)


@frozen
class _Way:
    """A word of ours on the wire: its type there, and the two directions."""

    kind: str
    read: Callable[[Any], Any]
    written: Callable[[Any], Any]


def _one_of(words: Sequence[Any]) -> _Way:
    return _Way(f"enum:{len(words)}", lambda number: words[number], lambda word: words.index(word))


_WAYS: Mapping[str, _Way] = {
    "yes": _Way("enum:2", bool, int),
    "long": _Way("enum:2", lambda number: number == 0, lambda long: int(not long)),
    "?long": _Way("?enum:2", lambda number: None if number is None else number == 0, lambda long: None if long is None else int(not long)),
    "name": _Way("bytes:32", name_text, name_bytes),
    "status": _one_of(_STATUSES),
    "kind": _one_of(_KINDS),
    "trigger": _one_of(_TRIGGERS),
    "action": _one_of(tuple(Action)),
    "why": _one_of(tuple(Why)),
    "reason": _one_of(tuple(DepositReason)),
    "liquidation": _one_of(tuple(LiquidationKind)),
}


@frozen
class _Form:
    """How an event's class and the program's record belong together: `names` are the class's, by the record's fields."""

    made: type
    record: Record
    names: Mapping[str, str]
    ways: Mapping[str, _Way]

    def read(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The class's values from the record's."""
        return {self.names[name]: self.ways[name].read(value) if name in self.ways else value for name, value in values.items()}

    def written(self, event: object) -> dict[str, Any]:
        """The record's values from the class's; what a program that stopped early does not write is left out."""
        values = {name: getattr(event, ours) for name, ours in self.names.items()}
        return {name: self.ways[name].written(value) if name in self.ways else value for name, value in values.items()}


def _form(made: type, name: str, lines: str, *, ends: Iterable[str] = (), without: Iterable[str] = ()) -> _Form:
    rows = [row for row in (line.split() for line in lines.strip().splitlines()) if row[0] not in set(without)]
    kinds = tuple((row[0], _WAYS[row[1]].kind if row[1] in _WAYS else row[1]) for row in rows)
    ways = {row[0]: _WAYS[row[1]] for row in rows if row[1] in _WAYS}
    return _Form(made, Record(name, kinds, frozenset(ends)), {row[0]: row[2] for row in rows}, ways)


@frozen
class _Table:
    """What one version of the program writes."""

    forms: Mapping[bytes, _Form]
    others: Mapping[bytes, str]
    order: _Form
    parts: Mapping[str, Record]


def _mark(name: str) -> bytes:
    """An event's discriminator, as Anchor makes it."""
    return sha256(f"event:{name}".encode()).digest()[:MARK]


@lru_cache(maxsize=2)
def _table(velocity: bool) -> _Table:
    forms = (
        _form(UserCreated, "NewUserRecord", _NEW_USER),
        _form(UserDeleted, "DeleteUserRecord", _DELETE_USER),
        # The last two fields came to Drift after 2.142, and the flags of a liquidation too: a record without them is whole.
        _form(Deposited, "DepositRecord", _DEPOSIT, ends=() if velocity else ("signer",)),
        _form(SpotInterest, "SpotInterestRecord", _INTEREST),
        _form(FundingPayment, "FundingPaymentRecord", _FUNDING_PAYMENT),
        _form(FundingRate, "FundingRateRecord", _FUNDING_RATE, without=_FUNDING_RATE_OF_DRIFT if velocity else ()),
        _form(OrderPlaced, "OrderRecord", "ts i64 at\nuser key user\norder PART order"),
        _form(OrderAction, "OrderActionRecord", _ACTION),
        _form(Liquidation, "LiquidationRecord", _LIQUIDATION, ends=() if velocity else ("bit_flags",)),
        _form(PnlSettled, "SettlePnlRecord", _SETTLE),
        _form(Swapped, "SwapRecord", _SWAP),
    )
    offset, unused = ("i64", "bytes:5") if velocity else ("i32", "bytes:1")
    order = _form(PlacedOrder, "Order", _ORDER.replace("OFFSET", offset).replace("UNUSED", unused))
    parts = {"order": order.record}
    for name, text in _FORMS.items():
        rows = [(one.split()[0], one.split()[1]) for one in text.split(",")]
        if velocity and name in ("liquidate_perp", "liquidate_spot"):
            rows = [*(row for row in rows if row[0] != "lp_shares"), ("protocol_fee", "u64")]
        parts[name] = Record(name, tuple(rows))
    whole: dict[bytes, _Form] = {}
    for form in forms:
        kinds = tuple((name, parts[name] if kind == "PART" else kind) for name, kind in form.record.fields)
        record = Record(form.record.name, kinds, form.record.ends)
        whole[_mark(record.name)] = _Form(form.made, record, form.names, form.ways)
    others = {_mark(name): name for name in (_OTHERS_VELOCITY if velocity else _OTHERS_DRIFT).split()}
    return _Table(whole, others, order, parts)


def _table_of(deployment: Deployment) -> _Table:
    if deployment.version not in KNOWN:
        raise InvalidMarket(f"{deployment.name} is of version {deployment.version}; events are known of {', '.join(sorted(KNOWN))}")
    return _table(deployment.has(Feature.BUILDER_OPTIONS))


def read_event(deployment: Deployment, data: bytes) -> Event:
    """One event from its bytes, discriminator first. Raises `BadEvent` for a known event with other bytes than it has."""
    if len(data) < MARK:
        raise BadEvent(f"{deployment.name}: {len(data)} bytes are no event; its first {MARK} say which it is")
    table, mark, rest = _table_of(deployment), data[:MARK], data[MARK:]
    form = table.forms.get(mark)
    if form is None:
        return Other(table.others[mark], rest) if mark in table.others else UnknownEvent(mark, rest)
    try:
        values = unpack(form.record, rest)
        if form.made is Liquidation:
            return _read_liquidation(form, values)
        if form.made is OrderPlaced:
            order = table.order.read(values["order"])
            values["order"] = PlacedOrder(**{**order, "unused": order["unused"] if any(order["unused"]) else b""})
        read = form.read(values)
    except (BadBytes, ValueError) as error:  # ValueError: a name that is none
        raise BadEvent(f"{deployment.name}: {error}") from None
    if form.made is Deposited:
        read = {"signer": None, "after": None, **read}
    event: Event = form.made(**read)
    return event


def encode_event(deployment: Deployment, event: Event) -> bytes:
    """The bytes that the program would write for this event, discriminator first. Raises `InvalidMarket` for what it cannot write."""
    table = _table_of(deployment)
    if isinstance(event, UnknownEvent):
        return event.discriminator + event.data
    if isinstance(event, Other):
        if _mark(event.name) not in table.others:
            raise InvalidMarket(f"{deployment.name} has no event {event.name} that is kept as bytes")
        return _mark(event.name) + event.data
    mark, form = next((mark, form) for mark, form in table.forms.items() if form.made is type(event))
    if isinstance(event, Liquidation):
        values = _written_liquidation(table, form, event)
    elif isinstance(event, OrderPlaced):
        values = {**form.written(event), "order": table.order.written(event.order)}
        size = int(str(dict(table.order.record.fields)["padding"]).partition(":")[2])
        values["order"]["padding"] = event.order.unused or bytes(size)
    else:
        values = form.written(event)
    if isinstance(event, FundingRate) and deployment.has(Feature.BUILDER_OPTIONS) and (event.revenue, event.base_with_lp) != (None, None):
        raise InvalidMarket(f"{deployment.name} writes no revenue and no base_with_lp with a funding rate")
    if form.record.ends and isinstance(event, Deposited) and event.after is None:
        if event.signer is not None:
            raise InvalidMarket(f"a deposit that says who signed ({event.signer}) says what was there afterwards too")
        del values["signer"], values["user_token_amount_after"]
    if form.record.ends and isinstance(event, Liquidation) and event.flags is None:
        del values["bit_flags"]
    return mark + pack(form.record, values)


def log_line(deployment: Deployment, event: Event) -> str:
    """The line of the log that holds this event, in the form that the program uses for it: a message for some, its data call for others."""
    raw = encode_event(deployment, event)
    name = event.name if isinstance(event, Other) else _name_of(deployment, raw)
    return f"{_LOG if name in _SHOWN_AS_MESSAGES.split() else _DATA}{b64encode(raw).decode()}"


_LOG, _DATA = "Program log: ", "Program data: "
_INVOKE = re.compile(r"Program ([1-9A-HJ-NP-Za-km-z]{32,44}) invoke \[([0-9]+)\]\Z")
_END = re.compile(r"Program ([1-9A-HJ-NP-Za-km-z]{32,44}) (success\Z|failed)")
_CUT = "Log truncated"


def read_log(deployment: Deployment, logs: Iterable[str] | None) -> Log:
    """The events of this deployment's program in a transaction's log. A cut log is marked, not refused; one that is not there is cut.

    A line is one item of what the node lists: text that a program wrote may hold line breaks, and they begin nothing. Of a failed
    transaction nothing is told. Raises `BadEvent` for a known event with wrong bytes, and for calls that do not nest.
    """
    stack: list[str] = []
    events: list[Event] = []
    complete, failed, seen = True, False, False
    for line in logs or ():
        seen = True
        if line.startswith((_LOG, _DATA)):
            if complete and stack and stack[-1] == deployment.program_id:
                events += _said(deployment, line)
        elif line == _CUT:
            # What follows a cut may still be short lines, with calls missing between them: who spoke is not known from here on.
            complete = False
        elif call := _INVOKE.match(line):
            if complete and int(call[2]) != len(stack) + 1:
                raise BadEvent(f"{line!r} stands in a log at depth {len(stack)}; a call is one deeper than its caller")
            stack.append(call[1])
        elif end := _END.match(line):
            failed = failed or end[2] == "failed"
            if complete:
                if not stack or stack[-1] != end[1]:
                    raise BadEvent(f"{line!r} ends a program that is not the last one called: {stack}")
                stack.pop()
    complete = complete and seen and not stack
    return Log(() if failed else tuple(events), complete, failed)


def events_of(deployment: Deployment, logs: Iterable[str] | None) -> list[Event]:
    """The events of this deployment's program in a transaction's log, in order; none of a transaction that failed.

    Raises `TruncatedLog` where the log was cut or is not there, `BadEvent` as `read_log` does.
    """
    log = read_log(deployment, logs)
    events = list(log.events)
    if not log.complete and not log.failed:
        raise TruncatedLog(f"the log of a transaction with {deployment.name} is not whole: {len(events)} events are in it", events)
    return events


def _said(deployment: Deployment, line: str) -> list[Event]:
    """The event in a line that the program wrote; a message that is none is none."""
    if line.startswith(_DATA):
        try:
            return [read_event(deployment, b64decode(part, validate=True)) for part in line[len(_DATA) :].split(" ")]
        except NotBase64:
            raise BadEvent(f"{line[:120]!r} is no base64") from None
    text = line[len(_LOG) :]
    if len(text) % 4 or len(text) < 12:
        return []
    try:
        raw = b64decode(text, validate=True)
    except NotBase64:
        return []
    table = _table_of(deployment)
    return [read_event(deployment, raw)] if raw[:MARK] in table.forms or raw[:MARK] in table.others else []


def _name_of(deployment: Deployment, raw: bytes) -> str:
    form = _table_of(deployment).forms.get(raw[:MARK])
    return form.record.name if form is not None else ""


def _read_liquidation(form: _Form, values: Mapping[str, Any]) -> Liquidation:
    plain = form.read({name: value for name, value in values.items() if name not in _PARTS})
    return Liquidation(**{"flags": None, **plain}, parts={name: values[name] for name in _PARTS})


def _written_liquidation(table: _Table, form: _Form, event: Liquidation) -> dict[str, Any]:
    strange = set(event.parts) - set(_PARTS)
    if strange:
        raise InvalidMarket(f"a liquidation has no part {', '.join(sorted(strange))}")
    ours = {one.name for one in fields(Liquidation)}
    values = {name: getattr(event, attribute) for name, attribute in form.names.items() if attribute in ours}
    values = {name: form.ways[name].written(value) if name in form.ways else value for name, value in values.items()}
    return {**values, **{name: {**blank(table.parts[name]), **event.parts.get(name, {})} for name in _PARTS}}
