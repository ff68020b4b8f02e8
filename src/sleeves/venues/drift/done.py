"""What a transaction did to our sub-accounts: facts, the lines of a ledger, and what became of orders, read from its own log.

    record = read_record(deployment, ids, payers, subs, chained, at)        its events, its note, the sub-accounts that it names
    reader = Reader(deployment, markets, authority, subs)
    done   = reader.read(record)                                            each record once, the oldest first

A landed transaction with an error did nothing, whatever its log says, and has no facts. All amounts are the program's own, to the unit:

    fill           cost is the quote amount of the trade; a taker's fee (with a builder's) and a maker's are in the quote coin
    funding        what the position's quote amount changed by; the rate is quote per coin, divided by the last oracle price in the log
    settled        what went from a position's quote amount to coins; `fee` is what its quote amount lost besides
    liquidated     a position that was closed by force: the trade, and all fees of it together
    bankrupted     a position's loss that others bore
    transferred    coins from and to the outside; shifted: between two of our sub-accounts

A fill, a fee and funding move no coins: they change a position's quote amount until it is settled. The fee and the tip of a transaction
are lamports of the wallet, and no coins of the sub-accounts.

Whose order it was is what the note of the transaction that placed it says, if our own key paid for that one, and it placed no other such
order; any other order is known by its sub-account and number, "2/17". The amount that the program says was filled of an order so far
must be the sum of the fills that were read: a fill that is missing is noticed at the next.

What is needed of earlier transactions is said to be lacking (`Reader.doubt`), and never guessed. What the program did and this module
cannot read is not passed over: it raises `VenueUnavailable`. It asks nobody.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any

from attrs import define, field, frozen
from solders.pubkey import Pubkey

from ...errors import InvalidMarket, VenueError, VenueUnavailable
from ...facts import Bankrupted, CashFlow, FlowKind, FundingPaid, Liquidated, Settled, Shifted, Transferred
from ...market import SECOND, Basis
from ...market import FundingRate as Rate
from ...money import Amount, Rounding
from ...orders import Accepted, Canceled, Fill, Liquidity, OrderStatus, Side
from ..ids import ClientIds
from ..solana import Chained
from .deployment import Deployment
from .events import (
    Action,
    Deposited,
    DepositReason,
    Event,
    FundingPayment,
    Liquidation,
    LiquidationKind,
    OrderAction,
    OrderPlaced,
    Other,
    PnlSettled,
    SpotInterest,
    Swapped,
    UnknownEvent,
    UserCreated,
    UserDeleted,
    Why,
    events_of,
)
from .interest import Anchor, Index, Ledger, Move
from .markets import Markets, average_price, funding_ppb, near_price
from .notes import Note, OrderNote, TransferNote, told_by

__all__ = ["LAG", "Done", "Fact", "Reader", "Record", "Seen", "effect_of", "read_record"]

log = logging.getLogger("sleeves.venues.drift")

LAG = 600 * SECOND
"""How far the chain's time, which is in whole seconds, may lag behind ours: a fill of an order is never told before the order."""
_FORCED = sha256(b"global:force_cancel_orders").digest()[:8]
"""The instruction whose fee is paid in coins; the same words in the log of another are paid by the position."""
_QUIET = frozenset(
    {
        "AmmCurveChanged",
        "CurveRecord",
        "FuelSeasonRecord",
        "FuelSweepRecord",
        "InsuranceFundRecord",
        "InsuranceFundStakeRecord",
        "InsuranceFundSwapRecord",
        "LPBorrowLendDepositRecord",
        "LPMintRedeemRecord",
        "LPSettleRecord",
        "LPSwapRecord",
        "PerpMarketFeeSweepRecord",
        "ProtocolFeeWithdrawRecord",
        "RevenueShareSettleRecord",
        "SignedMsgOrderRecord",
        "SpotMarketVaultDepositRecord",
        "TransferFeeAndPnlPoolRecord",
        "TransferProtocolIfSharesToRevenuePoolRecord",
    }
)
"""Events that change no position and no coin of a sub-account."""

Fact = Fill | FundingPaid | Settled | Liquidated | Bankrupted | Transferred | Shifted


@frozen(order=False)
class Record:
    """A transaction that some of our sub-accounts (`subs`) were part of. `at` is its block's time in UTC ns, or our note's if later.

    `failed`: it landed with an error (`err`), and did nothing. `mine`: our key paid for it, `fee` lamports; only then it has a `note`.
    """

    signature: str
    slot: int
    at: int
    subs: frozenset[int]
    failed: bool = False
    err: Any = None
    mine: bool = False
    fee: int = 0
    note: Note | None = None
    forced: bool = False
    """Whether a keeper took orders off because the account could not carry them."""
    events: tuple[Event, ...] = field(default=(), repr=lambda events: f"{len(events)} events")


@define
class Seen:
    """An order as the chain tells it: its id, its sub-account and number there, how much, how far, and what became of it."""

    order_id: str
    ours: bool
    sub: int
    number: int
    perp: bool
    market: int
    base: int
    placed: int
    """When it was placed, in UTC ns: by its note where it is ours, else by its block."""
    signature: str
    filled: int = 0
    status: OrderStatus = OrderStatus.OPEN
    at: int = 0
    """When it came to this."""
    reason: str = ""
    made: int = 0
    """When it was made, as its note says (UTC ns, whole milliseconds); 0 for one that is not ours."""


@frozen(order=False)
class Done:
    """What a transaction did: facts in their order, lines of coins, and what became of orders besides fills."""

    record: Record
    facts: tuple[Fact, ...] = ()
    ends: tuple[Accepted | Canceled, ...] = ()
    told: tuple[Fact | Accepted | Canceled, ...] = ()
    """Facts and ends together, as they happened."""
    lines: tuple[CashFlow, ...] = ()


def effect_of(fact: object) -> tuple[int, int] | None:
    """What a fact changes of a position: base units, and quote units of its money; None for one that changes none."""
    match fact:
        case Fill():
            return fact.side.sign * fact.qty, -fact.side.sign * fact.cost - fact.fee.units
        case FundingPaid():
            return 0, fact.amount
        case Settled():
            return 0, -fact.amount - fact.fee
        case Liquidated():
            return fact.change, (-fact.cost if fact.change > 0 else fact.cost) - fact.fee.units
        case Bankrupted():
            return 0, fact.amount
        case _:
            return None


def read_record(
    deployment: Deployment, ids: ClientIds, payers: Collection[str], subs: Mapping[str, int], chained: Chained, at: int
) -> Record:
    """Read a transaction. `payers` are our keys, `subs` numbers by address, `at` its block's time in UTC ns.

    A block's time is in whole seconds and may lag: what we asked for ourselves did not happen before we did, as its note says.

    Raises `VenueUnavailable` where its log is cut, or is none that the program can have written.
    """
    keys = {str(key.address) for key in chained.decoded.keys}
    mine = str(chained.decoded.payer) in payers
    failed = chained.err is not None
    events: Sequence[Event] = ()
    if not failed:
        if not chained.logs:
            raise VenueUnavailable(f"the node does not tell the log of {chained.signature}: what it did is not known")
        why = ""
        try:
            events = events_of(deployment, chained.logs)
        except VenueError as error:
            why = str(error)
        if why:
            raise VenueUnavailable(f"what {chained.signature} did is not known: {why}")
    calls = [one for one in chained.decoded.instructions if str(one.program.address) == deployment.program_id]
    note = told_by(ids, chained.memos) if mine else None
    return Record(
        str(chained.signature),
        chained.slot,
        at if note is None else max(at, min(note.at, at + LAG)),
        frozenset(number for address, number in subs.items() if address in keys),
        failed,
        chained.err,
        mine,
        chained.fee if mine else 0,
        note,
        any(bytes(one.data[:8]) == _FORCED for one in calls),
        tuple(events),
    )


@define
class _Page:
    """What is written down while a record is read."""

    record: Record
    told: list[Fact | Accepted | Canceled] = field(factory=list)
    lines: list[CashFlow] = field(factory=list)
    indices: dict[int, Index] = field(factory=dict)
    forced: dict[tuple[int, int], list[OrderAction]] = field(factory=dict)
    """Fills by force, by sub-account and order number, until the liquidation that they are of is told."""


class Reader:
    """Reads records in their order, the oldest first, each once. One that raised is not to be used again.

    `subs` are the numbers of the sub-accounts that are followed. Raises `UnknownMarket` where a market was not read yet.
    """

    def __init__(self, deployment: Deployment, markets: Markets, authority: str, subs: Iterable[int]) -> None:
        self.deployment = deployment
        self.markets = markets
        self.ledger = Ledger()
        self.orders: dict[tuple[int, int], Seen] = {}
        self.ours: dict[str, Seen] = {}
        """Orders of ours that were placed, by their id."""
        self.refused: dict[str, Record] = {}
        """Transactions of ours that landed with an error, by the order or transfer that they were for."""
        self.doubt = -1
        """The time of the latest record of which something could not be told, for want of an earlier one; -1 for none."""
        self.lacking = ""
        """What it was, in words."""
        self._subs = {deployment.user(authority, sub): sub for sub in subs}
        self._prices: dict[tuple[int, int], int] = {}
        self._touched: dict[tuple[int, int], int] = {}
        self._doubted: set[int] = set()
        self._positions: dict[str, tuple[int, int]] = {}

    @property
    def doubted(self) -> frozenset[int]:
        """The sub-accounts of which earlier records are needed."""
        return frozenset(self._doubted)

    def read(self, record: Record) -> Done:
        """What a record did. Raises `VenueUnavailable` for what cannot be read, or does not fit what was read before."""
        if record.failed:
            if isinstance(record.note, OrderNote):
                self.refused[record.note.order_id] = record
            elif isinstance(record.note, TransferNote):
                self.refused[record.note.id] = record
            return Done(record)
        page = _Page(record)
        transfers = self._transfers(record)
        for n, event in enumerate(record.events):
            before = len(page.told)
            try:
                self._event(page, n, event, transfers)
                self._held(page, page.told[before:], event)
            except (InvalidMarket, KeyError, TypeError, AttributeError) as error:
                raise VenueUnavailable(
                    f"event {n} of {record.signature} ({type(event).__name__}) is none that can be booked: {type(error).__name__}: {error}"
                ) from error
        if page.forced:
            raise VenueUnavailable(f"{record.signature} tells a fill by force, and no liquidation that it is of")
        told = tuple(page.told)
        facts = tuple(one for one in told if not isinstance(one, (Accepted, Canceled)))
        ends = tuple(one for one in told if isinstance(one, (Accepted, Canceled)))
        return Done(record, facts, ends, told, tuple(page.lines))

    # -- events ----------------------------------------------------------------------------------------------------------

    def _event(self, page: _Page, n: int, event: Event, transfers: Mapping[int, tuple[int, str]]) -> None:
        match event:
            case UserCreated() | UserDeleted() if event.user in self._subs:
                self._opened(self._subs[event.user])
            case SpotInterest():
                self._interest(page, n, Index(event.market, event.deposit_index, event.borrow_index))
            case Deposited() if event.user in self._subs:
                self._deposited(page, n, event, transfers)
            case OrderPlaced() if event.user in self._subs:
                self._placed(page, event)
            case OrderAction():
                self._action(page, n, event)
            case FundingPayment() if event.user in self._subs:
                self._funding(page, n, event)
            case PnlSettled() if event.user in self._subs:
                self._settled(page, n, event)
            case Liquidation():
                self._liquidation(page, n, event)
            case Swapped() if event.user in self._subs:
                sub = self._subs[event.user]
                self._move(page, n, sub, event.in_market, -event.amount_in, FlowKind.TRADE)
                self._move(page, n, sub, event.out_market, event.amount_out, FlowKind.TRADE)
            case Other() if event.name not in _QUIET:
                self._unread(page, event.name, event.data)
            case UnknownEvent():
                self._unread(page, f"an unknown event {event.discriminator.hex()}", event.data)
            case _:
                pass

    def _unread(self, page: _Page, name: str, data: bytes) -> None:
        """An event that is not read further must be of none of ours."""
        if any(bytes(Pubkey.from_string(address)) in data for address in self._subs):
            raise VenueUnavailable(f"{page.record.signature} tells {name} of one of our sub-accounts, and what that did is not known here")

    def _opened(self, sub: int) -> None:
        self.ledger.opened(sub)
        for symbol in [symbol for symbol in self._positions if symbol.endswith(f":{sub}")]:
            del self._positions[symbol]
        for table in (self.orders, self._prices, self._touched):
            for key in [key for key in table if key[0] == sub]:
                del table[key]

    def _lack(self, page: _Page, sub: int, what: str) -> None:
        """Something earlier is needed to tell this record whole."""
        if page.record.at >= self.doubt:
            self.doubt, self.lacking = page.record.at, f"{what}, which {page.record.signature} needs"
        self._doubted.add(sub)

    def _held(self, page: _Page, told: Sequence[Fact | Accepted | Canceled], event: Event) -> None:
        """Follow what positions hold by what was told, and hold it against what the program says of one that it settles."""
        for fact in told:
            effect = effect_of(fact)
            if effect is not None and not isinstance(fact, (Transferred, Shifted, Accepted, Canceled)):
                key = fact.instrument.symbol
                was = self._positions.get(key)
                if was is None and self.ledger.whole(fact.instrument.account or 0):
                    was = 0, 0
                if was is not None:
                    self._positions[key] = was[0] + effect[0], was[1] + effect[1]
        if isinstance(event, PnlSettled) and event.user in self._subs:
            symbol = self.markets.instrument(event.market, self._subs[event.user]).symbol
            was, now = self._positions.get(symbol), (event.base, event.quote_after)
            self._positions[symbol] = now
            if was is not None and was != now:
                what = (
                    "%s: %s holds %s base units for %s quote units by the program, and %s for %s by what was told; something was not logged"
                )
                log.critical(what, page.record.signature, symbol, *now, *was)

    # -- coins -----------------------------------------------------------------------------------------------------------

    def _name(self, page: _Page, n: int) -> str:
        return f"{page.record.signature}:{n}"

    def _line(self, page: _Page, n: int, sub: int, market: int, tokens: int, kind: FlowKind, ref: str = "", what: str = "") -> None:
        if tokens:
            coin = self.markets.coin(market)
            name = " ".join(filter(None, (self._name(page, n), what, coin.asset.code, str(sub))))
            page.lines.append(CashFlow(page.record.at, coin.amount(tokens), kind, name, ref, self.deployment.name, sub))

    def _move(self, page: _Page, n: int, sub: int, market: int, tokens: int, kind: FlowKind, ref: str = "", what: str = "") -> None:
        """Coins came or went without a word of what there is after."""
        self._line(page, n, sub, market, tokens, kind, ref, what)
        if tokens and self.ledger.knows(sub, market):
            self.ledger.move(Move(sub, market, tokens), page.indices.get(market), self.markets.coin(market).asset.scale)

    def _interest(self, page: _Page, n: int, index: Index) -> None:
        page.indices[index.market] = index
        for sub in sorted(page.record.subs):
            if index.market in self.ledger.coins(sub):
                beyond = self.ledger.index(sub, index, self.markets.coin(index.market).asset.scale)
                self._line(page, n, sub, index.market, beyond, FlowKind.INTEREST, what="interest")

    def _transfers(self, record: Record) -> dict[int, tuple[int, str]]:
        """For each side of a shift between two of ours, by its event: the event of the other side, and the id of the shift."""
        sides: dict[int, tuple[int, str]] = {}
        open_: dict[tuple[int, str, str, int], int] = {}
        pairs = []
        for n, event in enumerate(record.events):
            if not isinstance(event, Deposited) or event.reason is not DepositReason.TRANSFER or event.user not in self._subs:
                continue
            if event.other not in self._subs:
                continue
            source, target = (event.user, event.other) if event.withdrawn else (event.other, event.user)
            other = open_.pop((event.market, source, target, event.amount), None)
            if other is None:
                open_[event.market, source, target, event.amount] = n
            else:
                one = record.events[other]
                if source == target or (isinstance(one, Deposited) and one.withdrawn is event.withdrawn):
                    raise VenueUnavailable(f"{record.signature} tells a shift from {source} to {target} that has not two sides")
                pairs.append((other, n))
        if open_:
            raise VenueUnavailable(f"{record.signature} tells one side of a shift between two of our sub-accounts, and not the other")
        for first, second in pairs:
            name = record.note.id if isinstance(record.note, TransferNote) and len(pairs) == 1 else f"{record.signature}:{first}"
            sides[first], sides[second] = (second, name), (first, name)
        return sides

    def _deposited(self, page: _Page, n: int, event: Deposited, transfers: Mapping[int, tuple[int, str]]) -> None:
        record, sub = page.record, self._subs[event.user]
        coin = self.markets.coin(event.market)
        came = -event.amount if event.withdrawn else event.amount
        kind = FlowKind.WITHDRAWAL if event.withdrawn else FlowKind.DEPOSIT
        shifted = transfers.get(n)
        if shifted is not None:
            other = record.events[shifted[0]]
            assert isinstance(other, Deposited)
            source, target = (event, other) if event.withdrawn else (other, event)
            numbers = self._subs[source.user], self._subs[target.user]
            fact = Shifted(record.at, coin.amount(event.amount), *numbers, shifted[1], self.deployment.name) if event.amount else None
            if fact is not None and shifted[0] > n:
                page.told.append(fact)
            ref = "" if fact is None else fact.key
        elif event.reason is DepositReason.REWARD:
            kind, ref = FlowKind.REWARD, ""
        else:
            outside = [
                one
                for place, one in enumerate(record.events)
                if isinstance(one, Deposited) and one.user in self._subs and place not in transfers
            ]
            asked = isinstance(record.note, TransferNote) and len(outside) == 1 and not transfers
            name = record.note.id if asked and isinstance(record.note, TransferNote) else self._name(page, n)
            ref = ""
            if came:
                moved = Transferred(record.at, coin.amount(came), name, self.deployment.name)
                page.told.append(moved)
                ref = moved.key
        index = Index(event.market, event.deposit_index, event.borrow_index)
        page.indices[event.market] = index
        scale = coin.asset.scale
        if event.after is None:
            self._move(page, n, sub, event.market, came, kind, ref)
            return
        if not self.ledger.knows(sub, event.market):
            self._lack(page, sub, f"what sub-account {sub} had of {coin.asset} before")
        leaving = event.withdrawn and event.reason is not DepositReason.TRANSFER
        beyond = self.ledger.anchor(Anchor(sub, event.market, event.after), came, index, scale, leaving=leaving)
        self._line(page, n, sub, event.market, beyond, FlowKind.INTEREST, what="interest")
        self._line(page, n, sub, event.market, came, kind, ref)

    # -- orders ----------------------------------------------------------------------------------------------------------

    def _placed(self, page: _Page, event: OrderPlaced) -> None:
        record, order, sub = page.record, event.order, self._subs[event.user]
        order_id, ours, at, made = f"{sub}/{order.id}", False, record.at, 0
        if (sub, order.id) in self.orders:
            return  # a trigger that fired is told again
        note = record.note
        if isinstance(note, OrderNote) and self._is_of(note, event):
            named = {(one.user, one.order.id) for one in record.events if isinstance(one, OrderPlaced) and self._is_of(note, one)}
            if len(named) == 1:
                order_id, ours, at = note.order_id, True, max(record.at, min(note.at, record.at + LAG))
                made = note.at
        seen = Seen(order_id, ours, sub, order.id, order.perp, order.market, order.base, at, record.signature, at=at, made=made)
        self.orders[sub, order.id] = seen
        if ours and order_id in self.ours:
            log.critical("%s: placed twice, in %s and %s", order_id, self.ours[order_id].signature, record.signature)
            seen.order_id, seen.ours, seen.made = f"{sub}/{order.id}", False, 0
        elif ours:
            self.ours[order_id] = seen
            page.told.append(Accepted(order_id, at, f"{sub}/{order.id}"))

    def _is_of(self, note: OrderNote, event: OrderPlaced) -> bool:
        if event.user not in self._subs or not event.order.perp:
            return False
        return self.markets.instrument(event.order.market, self._subs[event.user]).symbol == note.symbol

    def _action(self, page: _Page, n: int, event: OrderAction) -> None:
        sides = (
            (event.taker, event.taker_order, event.taker_long, event.taker_filled, True),
            (event.maker, event.maker_order, event.maker_long, event.maker_filled, False),
        )
        for user, number, long, filled, takes in sides:
            if user is None or user not in self._subs:
                continue
            sub = self._subs[user]
            if number is None or long is None:
                raise VenueUnavailable(f"{page.record.signature} tells an action on an order of sub-account {sub} that has no number")
            if event.action is Action.FILL:
                self._filled(page, n, event, sub, number, long=long, filled=filled, takes=takes)
            elif event.action in (Action.CANCEL, Action.EXPIRE):
                self._reward(page, n, event, user, sub)
                self._off(page, event, sub, number, filled)
            elif event.action is Action.TRIGGER:
                self._reward(page, n, event, user, sub)
            if event.perp and event.oracle_price > 0:
                self._prices[sub, event.market] = event.oracle_price
        if event.filler in self._subs and event.filler_reward and event.filler not in (event.taker, event.maker):
            raise VenueUnavailable(
                f"{page.record.signature} paid {event.filler_reward} to our own sub-account as a keeper: it is not followed"
            )

    def _seen(self, page: _Page, sub: int, number: int) -> Seen | None:
        found = self.orders.get((sub, number))
        if found is None:
            self._lack(page, sub, f"the placing of order {number} of sub-account {sub}")
        return found

    def _filled(
        self, page: _Page, n: int, event: OrderAction, sub: int, number: int, *, long: bool, filled: int | None, takes: bool
    ) -> None:
        record = page.record
        if event.why is Why.LIQUIDATION and takes:
            # an order that the program made up for the liquidation, which tells the trade and its fees itself
            page.forced.setdefault((sub, number), []).append(event)
            if (sub, number) in self.orders:
                self.orders[sub, number].status = OrderStatus.FILLED
            return
        fee = event.taker_fee if takes else event.maker_fee
        if not event.base or event.quote is None or fee is None or filled is None:
            raise VenueUnavailable(f"{record.signature} tells a fill of order {sub}/{number} without its amounts or its fee")
        fee += (event.builder_fee or 0) if takes else 0
        seen = self._seen(page, sub, number)
        if seen is None:
            return
        if filled != seen.filled + event.base:
            what = f"order {sub}/{number} has {filled} filled after {event.base} more, and {seen.filled} of it were read before"
            raise VenueUnavailable(f"{what}: a fill is missing before {record.signature}")
        seen.filled, seen.at = filled, max(record.at, seen.placed)
        if filled >= seen.base and seen.status is OrderStatus.OPEN:
            seen.status = OrderStatus.FILLED
        side = Side.BUY if long else Side.SELL
        if not event.perp:
            quote = self.deployment.quote.market
            self._move(page, n, sub, event.market, side.sign * event.base, FlowKind.TRADE, what="base")
            self._move(page, n, sub, quote, -side.sign * event.quote, FlowKind.TRADE, what="quote")
            self._move(page, n, sub, quote, -fee, FlowKind.FEE, what="fee")
            return
        market = self.markets.instrument(event.market, sub)
        trade = str(event.fill_id) if event.fill_id is not None else self._name(page, n)
        price = average_price(market, event.base, event.quote, buys=long)
        liquidity = Liquidity.TAKER if takes else Liquidity.MAKER
        charged = Amount(fee, market.quote)
        page.told.append(
            Fill(
                seen.order_id,
                seen.at,
                market,
                side,
                event.base,
                price,
                event.quote,
                charged,
                liquidity,
                trade_id=trade,
                venue=self.deployment.name,
            )
        )
        self._touched[sub, event.market] = record.at

    def _off(self, page: _Page, event: OrderAction, sub: int, number: int, filled: int | None) -> None:
        seen = self._seen(page, sub, number)
        if seen is None or seen.status is not OrderStatus.OPEN:
            return
        if filled is not None and filled != seen.filled:
            what = f"order {sub}/{number} was taken off with {filled} filled, and {seen.filled} of it were read before"
            raise VenueUnavailable(f"{what}: a fill is missing before {page.record.signature}")
        seen.status, seen.at = OrderStatus.CANCELED, max(page.record.at, seen.placed)
        seen.reason = "" if event.why is Why.NONE else event.why.name.lower().replace("_", " ")
        if seen.ours:
            page.told.append(Canceled(seen.order_id, seen.at, seen.reason))

    def _reward(self, page: _Page, n: int, event: OrderAction, user: str, sub: int) -> None:
        """What a keeper got for taking an order off, or for waking it: out of the position, or out of the coins."""
        if not event.filler_reward or event.filler is None or event.filler == user:
            return
        if not event.perp or page.record.forced:
            self._move(page, n, sub, self.deployment.quote.market, -event.filler_reward, FlowKind.FEE, what="keeper")
            return
        market = self.markets.instrument(event.market, sub)
        page.told.append(Settled(page.record.at, market, 0, self._name(page, n), self.deployment.name, event.filler_reward))

    # -- positions -------------------------------------------------------------------------------------------------------

    def _funding(self, page: _Page, n: int, event: FundingPayment) -> None:
        record, sub = page.record, self._subs[event.user]
        perp = self.markets.perp(event.market)
        market = perp.instrument(sub)
        price, since = self._prices.get((sub, event.market)), self._touched.get((sub, event.market))
        self._touched[sub, event.market] = record.at
        if price is None or since is None:
            self._lack(page, sub, f"the last price of {perp.name} in sub-account {sub}")
            return
        now = event.funding_long if event.base > 0 else event.funding_short
        every = perp.contract.funding_every
        periods = max(1, (record.at - since + every // 2) // every)
        rate = funding_ppb(now - event.last_funding, price)
        at_rate = Rate(market, record.at, rate, near_price(market, price, Rounding.FLOOR), periods * every, Basis.ORACLE)
        page.told.append(FundingPaid(at_rate, event.base, event.payment, self._name(page, n), self.deployment.name))

    def _settled(self, page: _Page, n: int, event: PnlSettled) -> None:
        sub = self._subs[event.user]
        if event.expired:
            perp = self.markets.perp(event.market)
            raise VenueUnavailable(
                f"{page.record.signature} settled an expired position in {perp.name}: its fee is in no log, so it is not told"
            )
        fact = Settled(page.record.at, self.markets.instrument(event.market, sub), event.pnl, self._name(page, n), self.deployment.name)
        page.told.append(fact)
        self._move(page, n, sub, self.deployment.quote.market, event.pnl, FlowKind.SETTLEMENT, fact.key)
        if event.price > 0:
            self._prices[sub, event.market] = event.price

    def _liquidation(self, page: _Page, n: int, event: Liquidation) -> None:
        if event.liquidator in self._subs and event.kind is not LiquidationKind.PERP:
            raise VenueUnavailable(f"{page.record.signature}: our own sub-account liquidated another account, and that is not followed")
        if event.user not in self._subs:
            return
        if event.isolated:
            raise VenueUnavailable(f"{page.record.signature} liquidated an isolated position, whose deposit is not followed")
        sub, detail = self._subs[event.user], event.detail
        told: Mapping[LiquidationKind, Callable[[_Page, int, int, Mapping[str, Any]], None]] = {
            LiquidationKind.PERP: self._perp_closed,
            LiquidationKind.SPOT: self._coins_sold,
            LiquidationKind.BORROW_FOR_PERP_PNL: self._debt_paid,
            LiquidationKind.PERP_PNL_FOR_DEPOSIT: self._loss_paid,
            LiquidationKind.PERP_BANKRUPTCY: self._loss_borne,
            LiquidationKind.SPOT_BANKRUPTCY: self._debt_borne,
        }
        told[event.kind](page, n, sub, detail)

    def _perp_closed(self, page: _Page, n: int, sub: int, detail: Mapping[str, Any]) -> None:
        """A position was taken over by the liquidator, or closed against others for it; the fills say which way, and their own fees."""
        base, cost, number = abs(detail["base_asset_amount"]), abs(detail["quote_asset_amount"]), detail["user_order_id"]
        if not base:
            return
        fills = page.forced.pop((sub, number), [])
        sides = {one.taker_long for one in fills}
        sums = sum(one.base or 0 for one in fills), sum(one.quote or 0 for one in fills)
        if len(sides) != 1 or sums != (base, cost):
            what = f"{page.record.signature} liquidated {base} base units for {cost}, and its fills make {sums[0]} for {sums[1]}"
            raise VenueUnavailable(f"{what}: what it did is not known")
        fee = detail["liquidator_fee"] + detail["if_fee"] + detail.get("protocol_fee", 0)
        if not detail["liquidator_order_id"]:
            # nobody took it over: it was filled by others, and paid the fees of a taker besides
            if any(one.taker_fee is None for one in fills):
                raise VenueUnavailable(f"{page.record.signature} tells a fill by force without its fee")
            fee += sum((one.taker_fee or 0) + (one.builder_fee or 0) for one in fills)
        buys = sides == {True}
        market = self.markets.instrument(detail["market_index"], sub)
        price, charged = average_price(market, base, cost, buys=buys), Amount(fee, market.quote)
        name = self._name(page, n)
        page.told.append(Liquidated(page.record.at, market, base if buys else -base, price, cost, charged, name, self.deployment.name))
        self._touched[sub, detail["market_index"]] = page.record.at

    def _coins_sold(self, page: _Page, n: int, sub: int, detail: Mapping[str, Any]) -> None:
        kept = detail["liability_transfer"] - detail["if_fee"] - detail.get("protocol_fee", 0)
        self._move(page, n, sub, detail["asset_market_index"], -detail["asset_transfer"], FlowKind.LIQUIDATION, what="asset")
        self._move(page, n, sub, detail["liability_market_index"], kept, FlowKind.LIQUIDATION, what="debt")

    def _loss_paid(self, page: _Page, n: int, sub: int, detail: Mapping[str, Any]) -> None:
        """A position's loss was taken over for coins of ours: of the quote coin, or of another, which were then sold by force."""
        self._taken_over(
            page, n, sub, detail["perp_market_index"], detail["asset_market_index"], -detail["asset_transfer"], detail["pnl_transfer"]
        )

    def _debt_paid(self, page: _Page, n: int, sub: int, detail: Mapping[str, Any]) -> None:
        """A debt of ours was paid for the profit of a position."""
        self._taken_over(
            page,
            n,
            sub,
            detail["perp_market_index"],
            detail["liability_market_index"],
            detail["liability_transfer"],
            -detail["pnl_transfer"],
        )

    def _taken_over(self, page: _Page, n: int, sub: int, perp: int, coin: int, tokens: int, pnl: int) -> None:
        """Coins came or went (`tokens`), and the position's quote amount changed by `pnl`, the other way."""
        if not tokens and not pnl:
            return
        market, quote = self.markets.instrument(perp, sub), self.deployment.quote.market
        amount = tokens if coin == quote else -pnl
        fee = -pnl - amount
        if fee < 0:
            raise VenueUnavailable(
                f"{page.record.signature} moved {tokens} tokens for a loss of {pnl}: the sub-account would have gained by it"
            )
        fact = Settled(page.record.at, market, amount, self._name(page, n), self.deployment.name, fee)
        page.told.append(fact)
        if coin == quote:
            self._move(page, n, sub, quote, amount, FlowKind.SETTLEMENT, fact.key)
            return
        # coins of another kind: sold, or bought, for the quote units that then went to the position
        self._move(page, n, sub, coin, tokens, FlowKind.LIQUIDATION, what="coins")
        self._line(page, n, sub, quote, -amount, FlowKind.LIQUIDATION, what="for")
        self._line(page, n, sub, quote, amount, FlowKind.SETTLEMENT, fact.key, what="settled")

    def _loss_borne(self, page: _Page, n: int, sub: int, detail: Mapping[str, Any]) -> None:
        if not detail["pnl"]:
            return
        market = self.markets.instrument(detail["market_index"], sub)
        page.told.append(Bankrupted(page.record.at, market, -detail["pnl"], self._name(page, n), self.deployment.name))

    def _debt_borne(self, page: _Page, n: int, sub: int, detail: Mapping[str, Any]) -> None:
        self._move(page, n, sub, detail["market_index"], detail["borrow_amount"], FlowKind.LIQUIDATION, what="borne")
