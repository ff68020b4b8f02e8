"""What Kraken's own ledger says of a trade, and of everything else: fills to the digit, and lines of coins that came and went.

A trade has its lines in the ledger under its own id (`refid`): what came in, what went out, and the fee. They are the truth, to
the decimals of the account; what a trade says of its own cost is a figure with other decimals. A fill is made of them, so the same
trade makes the same fill whoever asks: its time is that of the line in the quote currency.

It asks nothing, and keeps nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from attrs import frozen

from ...facts import CashFlow, FlowKind
from ...market import Instrument
from ...money import Amount, Asset
from ...orders import Fill, Liquidity, Side
from .client import LedgerLine
from .names import Names

__all__ = ["Execution", "estimate_of", "fill_of", "flow_kind", "flows_of"]


@frozen
class Execution:
    """A trade as an execution report, or the list of trades, tells it. `fees` are (asset, quantity) as Kraken writes them.

    `order` is Kraken's id of the order. With `margin` it moved no coins of a spot wallet. `fees` None: they were not told.
    `ledgers` are the ids of its lines in the ledger, where they were told.
    """

    id: str
    order: str
    at: int
    market: Instrument
    side: Side
    price: Decimal
    qty: Decimal
    cost: Decimal | None = None
    fees: tuple[tuple[str, Decimal], ...] | None = ()
    maker: bool = False
    margin: bool = False
    ledgers: tuple[str, ...] = ()


def fill_of(trade: Execution, order_id: str, lines: Iterable[LedgerLine], names: Names, venue: str) -> Fill | None:
    """The fill that the ledger's lines of a trade make; None while they are not all there.

    They are all there when every line that the trade names is, when the base coins that moved are the trade's quantity, to the digit,
    and when the money that moved is its price times that, or its own cost, but for the rounding of each line: a trade that draws on
    two wallets has two lines of a coin, and one may be written later. A fee in several assets is that in the quote currency here: the
    others stand in the ledger as lines of their own. Raises `InvalidAmount` for figures finer than the asset counts.
    """
    market, lines = trade.market, tuple(lines)
    if not {line.id for line in lines}.issuperset(trade.ledgers):
        return None
    moved: dict[Asset, int] = {}
    fees: dict[Asset, int] = {}
    times: list[int] = []
    for line in lines:
        asset = names.wallet(line.asset).asset
        moved[asset] = moved.get(asset, 0) + asset(line.amount).units
        if line.fee:
            fees[asset] = fees.get(asset, 0) + asset(line.fee).units
        if asset == market.quote:
            times.append(line.at)
    base, quote = moved.get(market.base, 0), moved.get(market.quote, 0)
    sign = trade.side.sign
    if not times or sign * base <= 0 or sign * quote > 0:
        return None
    if abs(base) != market.base(trade.qty).units or not _pays(trade, [line for line in lines if _of(line, market.quote, names)], names):
        return None
    paid = {asset: units for asset, units in fees.items() if units}
    asset = market.quote if market.quote in paid or not paid else next(iter(paid))
    return _fill(trade, order_id, venue, min(times), abs(base), abs(quote), Amount(paid.get(asset, 0), asset))


def _of(line: LedgerLine, asset: Asset, names: Names) -> bool:
    return names.wallet(line.asset).asset == asset


def _pays(trade: Execution, lines: Sequence[LedgerLine], names: Names) -> bool:
    """Whether these lines are all that a trade moved of its quote currency: each may be rounded to the decimals it is written with."""
    quote, places = trade.market.quote, names.pair(trade.market.symbol).cost_decimals
    coarsest = max(Decimal(1).scaleb(1 - places), Decimal(1).scaleb(-quote.scale))
    written = (Decimal(1).scaleb(int(line.amount.as_tuple().exponent)) for line in lines)
    most = sum((min(step, coarsest) for step in written), Decimal(0))
    moved = abs(sum((line.amount for line in lines), Decimal(0)))
    by_cost = trade.cost is not None and abs(moved - trade.cost) <= most + Decimal(1).scaleb(-places)
    return by_cost or abs(moved - trade.price * trade.qty) <= most


def estimate_of(trade: Execution, order_id: str, names: Names, venue: str) -> Fill | None:
    """The fill that a trade makes by its own figures, where the ledger does not show it; None where they do not suffice.

    Raises `InvalidAmount` for figures finer than the assets count: they are not rounded.
    """
    market = trade.market
    if trade.cost is None or trade.fees is None:
        return None
    paid = [(names.wallet(name).asset, fee) for name, fee in trade.fees if fee]
    if len({asset for asset, _ in paid}) > 1:
        return None
    asset = paid[0][0] if paid else market.quote
    fee = Amount(sum(asset(fee).units for _, fee in paid), asset)
    return _fill(trade, order_id, venue, trade.at, market.base(trade.qty).units, market.quote(trade.cost).units, fee)


def _fill(trade: Execution, order_id: str, venue: str, at: int, qty: int, cost: int, fee: Amount) -> Fill:
    market = trade.market
    liquidity = Liquidity.MAKER if trade.maker else Liquidity.TAKER
    return Fill(order_id, at, market, trade.side, qty, market.whole_price(trade.price), cost, fee, liquidity, trade.id, venue)


_KINDS: Mapping[str, FlowKind] = {
    "trade": FlowKind.TRADE,
    "spend": FlowKind.TRADE,
    "receive": FlowKind.TRADE,
    "conversion": FlowKind.TRADE,
    "sale": FlowKind.TRADE,
    "nfttrade": FlowKind.TRADE,
    "deposit": FlowKind.DEPOSIT,
    "withdrawal": FlowKind.WITHDRAWAL,
    "reward": FlowKind.REWARD,
    "staking": FlowKind.REWARD,
    "dividend": FlowKind.REWARD,
    "invite bonus": FlowKind.REWARD,
    "invite_bonus": FlowKind.REWARD,
    "nftrebate": FlowKind.REWARD,
    "earn": FlowKind.EARN,
    "rollover": FlowKind.FUNDING,
    "margin": FlowKind.SETTLEMENT,
    "settled": FlowKind.SETTLEMENT,
    "fee": FlowKind.FEE,
    "nftcreatorfee": FlowKind.FEE,
}
"""Types of ledger lines; those that are not here (adjustment, credit, ...) are OTHER, for a human."""

_SUBTYPES: Mapping[tuple[str, str], FlowKind] = {
    ("earn", "reward"): FlowKind.REWARD,
    ("transfer", "spottostaking"): FlowKind.EARN,
    ("transfer", "spotfromstaking"): FlowKind.EARN,
    ("transfer", "stakingfromspot"): FlowKind.EARN,
    ("transfer", "stakingtospot"): FlowKind.EARN,
    ("transfer", "spottofutures"): FlowKind.WITHDRAWAL,
    ("transfer", "spotfromfutures"): FlowKind.DEPOSIT,
    ("spend", "dustsweeping"): FlowKind.DUST,
    ("receive", "dustsweeping"): FlowKind.DUST,
}


def flow_kind(kind: str, subtype: str) -> FlowKind:
    """Why a ledger line of this type and subtype moved coins."""
    found = _SUBTYPES.get((kind, subtype))
    return _KINDS.get(kind, FlowKind.OTHER) if found is None else found


def flows_of(lines: Iterable[LedgerLine], fills: Mapping[str, Fill], names: Names, venue: str) -> Sequence[CashFlow]:
    """Ledger lines as cash flows, oldest first. `fills` are those of trades, by trade id: their lines name their keys.

    Their sum is what the balances have changed by: of wallets that are not counted there is none. A trade's fee is a line of its
    own; any other line is net of its fee. Raises `InvalidMarket` for an asset that is not known, `InvalidAmount` for what is too fine.
    """
    found: list[CashFlow] = []
    for line in lines:
        wallet = names.wallet(line.asset)
        if not wallet.counted:
            continue
        asset, kind = wallet.asset, flow_kind(line.type, line.subtype)
        amount, fee = asset(line.amount), asset(line.fee)
        fill = fills.get(line.refid) if kind is FlowKind.TRADE else None
        key = "" if fill is None else fill.key
        if kind is not FlowKind.TRADE:
            amount, fee = amount - fee, asset.zero
        if amount.units:
            found.append(CashFlow(line.at, amount, kind, line.id, key, venue))
        if fee.units:
            of_fill = fill is not None and fill.fee.asset == asset
            found.append(CashFlow(line.at, -fee, FlowKind.FEE, f"{line.id}/fee", key if of_fill else "", venue))
    return sorted(found, key=lambda flow: (flow.at, flow.id))
