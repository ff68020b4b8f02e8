"""What a transaction did to a wallet, read out of the chain's own record of it: fills, costs, and the lines of a ledger.

Nothing is taken from a quote. What the wallet holds more or less of a token afterwards is what the trade was; what it holds less
of SOL besides is what the trade cost: signature and priority, a tip, and the rent of accounts that it opened, less that of
accounts that it closed.

    SOL              a wallet's lamports and its wrapped SOL together, without the rent in token accounts
    qty              whole lots, at most what was ordered: what came beyond it lowers the fee in that coin
    fee              in SOL. Where the coin that came too much is not SOL it is told as a second leg, whose fee is below zero

A transaction of ours has a memo: the order's id in 32 hex digits, its quantity in units, when it was made in milliseconds, and
its market. Only one that our wallet paid for is ours, whatever its memo says. The chain's own time is in whole seconds and may lag,
so a trade of ours happened at the later of the two.

It asks nobody: it is handed the record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import frozen

from ...facts import CashFlow, FlowKind
from ...market import Instrument
from ...money import Amount, Rounding, divide
from ...orders import Fill, Liquidity, Side
from ..ids import ClientIds
from ..solana import SYSTEM, WSOL, Chained, ata
from .markets import Market, Token

__all__ = ["Moves", "Told", "fills_of", "flows_of", "in_ms", "memo_of", "moves_of", "read_memo", "told_by"]

IMPROVEMENT = "improvement"
"""The leg that what came beyond an order is told as."""
_TRANSFER = (2).to_bytes(4, "little")
_MS = 1_000_000
_LATEST = 10**19


@frozen(order=False)
class Told:
    """What a transaction's memo says of it: whose order, for how much, made when (UTC ns), on which market."""

    order_id: str
    qty: int
    at: int
    symbol: str


@frozen(order=False)
class Moves:
    """What a transaction did to a wallet, in raw units by mint, SOL under the mint of wrapped SOL.

    `costs` are lamports: what the wallet paid besides a trade. They are in the change of SOL already. `sent` is what it sent to
    others of its own, a tip among it.
    """

    signature: str
    slot: int
    at: int
    failed: bool
    mine: bool
    moved: Mapping[str, int]
    fee: int
    rent: int
    sent: int

    @property
    def costs(self) -> int:
        return self.fee + self.rent + self.sent

    @property
    def is_swap(self) -> bool:
        """Whether something went and something else came, its costs apart."""
        moved = {**self.moved, str(WSOL): self.moved.get(str(WSOL), 0) + self.costs}
        return len({amount > 0 for amount in moved.values() if amount}) == 2

    def traded(self, token: Token) -> int:
        """What a trade moved of a token, its costs apart."""
        amount = self.moved.get(token.mint, 0)
        return amount + self.costs if token.mint == str(WSOL) else amount


def in_ms(at: int) -> int:
    """An instant as a memo tells it: UTC ns, rounded up to whole milliseconds."""
    return -(-at // _MS) * _MS


def memo_of(ids: ClientIds, order_id: str, qty: int, at: int, symbol: str) -> str:
    """The memo of an order, made at an instant in UTC ns, which is rounded up. Raises `VenueRejected` for an id that is none of ours."""
    return f"{ids.hex(order_id)} {qty} {in_ms(at) // _MS} {symbol}"


def read_memo(ids: ClientIds, text: str) -> Told | None:
    """What `memo_of` wrote; None for what it did not."""
    words = text.split(" ")
    if len(words) != 4 or not all(word.isascii() and word.isdigit() and len(word) <= 40 for word in words[1:3]):
        return None
    order_id, qty, at = ids.order_id(words[0]), int(words[1]), int(words[2]) * _MS
    return None if order_id is None or not qty or at > _LATEST else Told(order_id, qty, at, words[3])


def told_by(ids: ClientIds, memos: Sequence[str]) -> Told | None:
    """What the memos of a transaction say of it: the last of them, as only ours is, where no other says such a thing too."""
    found = [told for told in (read_memo(ids, text) for text in memos) if told is not None]
    return read_memo(ids, memos[-1]) if len(found) == 1 else None


def moves_of(chained: Chained, wallet: object, at: int) -> Moves:
    """Read what a transaction did to a wallet. `at` is when, in UTC nanoseconds.

    Raises `VenueUnavailable` where the record does not say whose token accounts they are.
    """
    owner = chained.decoded.payer.__class__.from_string(str(wallet))
    before, after = chained.lamports(owner)
    moved = {str(mint): now - was for mint, (was, now) in chained.tokens(owner).items()}
    moved[str(WSOL)] = moved.get(str(WSOL), 0) + after - before
    mine = chained.decoded.payer == owner
    rent = 0
    for place in {*chained.pre_tokens, *chained.post_tokens}:
        was, now = chained.pre_tokens.get(place), chained.post_tokens.get(place)
        if mine and was is None and now is not None and now.owner == owner and not chained.pre_lamports[place]:
            rent += chained.post_lamports[place] - (now.amount if now.mint == WSOL else 0)
        if mine and now is None and was is not None and was.owner == owner and not chained.post_lamports[place]:
            rent -= chained.pre_lamports[place] - (was.amount if was.mint == WSOL else 0)
    sent = 0
    if mine and chained.err is None:
        own = {owner, ata(owner, WSOL)}
        for one in chained.decoded.instructions:
            if one.program.address == SYSTEM and one.data[:4] == _TRANSFER and len(one.data) == 12 and one.accounts[0].address == owner:
                sent += 0 if one.accounts[1].address in own else int.from_bytes(one.data[4:], "little")
    return Moves(
        str(chained.signature),
        chained.slot,
        at,
        chained.err is not None,
        mine,
        {mint: amount for mint, amount in moved.items() if amount},
        chained.fee if mine else 0,
        rent,
        sent,
    )


# -- trades ------------------------------------------------------------------------------------------------------------------


def fills_of(
    moves: Moves, market: Market, sol: Token, order_id: str, ordered: int | None, venue: str, *, bears: bool = True
) -> tuple[Fill, ...]:
    """The fills of a transaction that traded on a market; none where it did not. `ordered` None: whatever was traded.

    `bears`: what the transaction cost is the fee of its fill; otherwise it is a line of the wallet's alone.
    """
    base, quote = moves.traded(market.base), moves.traded(market.quote)
    if moves.failed or not base or not quote or (base > 0) is (quote > 0):
        return ()
    side = Side.BUY if base > 0 else Side.SELL
    came, cost = abs(base) * market.base.factor, abs(quote) * market.quote.factor
    lot = market.instrument.lot_units
    qty = came // lot * lot
    qty = qty if ordered is None else min(qty, ordered // lot * lot)
    if not qty:
        return ()
    beyond = (came - qty) * side.sign
    fee = moves.costs * sol.factor if bears else 0
    if market.base.mint == sol.mint:
        fee, beyond = fee - beyond, 0
    fees = [(fee, sol)] if not beyond or qty == lot else [(fee, sol), (-beyond, market.base)]
    return _legs(moves, market.instrument, order_id, side, qty, cost, [Amount(units, token.asset) for units, token in fees], venue)


def _legs(
    moves: Moves, instrument: Instrument, order_id: str, side: Side, qty: int, cost: int, fees: Sequence[Amount], venue: str
) -> tuple[Fill, ...]:
    """A trade whole, or with a lot of it apart where it has a second fee."""
    price = _price(instrument, side, qty, cost)
    apart = instrument.lot_units if len(fees) > 1 else 0
    less = divide(cost * apart, qty, Rounding.FLOOR)
    parts = [(qty - apart, cost - less, fees[0], "")]
    parts += [(apart, less, fees[1], IMPROVEMENT)] if apart else []
    return tuple(
        Fill(order_id, moves.at, instrument, side, part, price, money, fee, Liquidity.TAKER, trade_id=moves.signature, venue=venue, leg=leg)
        for part, money, fee, leg in parts
    )


def _price(instrument: Instrument, side: Side, qty: int, cost: int) -> int:
    """The average price in whole price units, on the side on which cost and quantity still bear it out; at least one."""
    times, over = instrument.ratio
    return max(1, divide(cost * over, qty * times, Rounding.FLOOR if side is Side.BUY else Rounding.CEIL))


def market_of(moves: Moves, markets: Sequence[Market]) -> Market | None:
    """The market that a trade of nobody's order was on, by its tokens: one of all DEXes first; None for none."""
    fitting = [one for one in markets if moves.traded(one.base) * moves.traded(one.quote) < 0]
    known = [one for one in fitting if {one.base.mint, one.quote.mint, str(WSOL)} >= set(moves.moved)]
    return min(known, key=lambda one: len(one.dexes), default=None)


# -- the wallet's ledger -------------------------------------------------------------------------------------------------------


def flows_of(
    moves: Moves, fills: Sequence[Fill], tokens: Sequence[Token], sol: Token, venue: str, *, bears: bool = True
) -> tuple[CashFlow, ...]:
    """The lines of a transaction, which sum to what it moved of these tokens. Those of a fill name its key."""
    lines: list[CashFlow] = []
    left = {token.mint: moves.moved.get(token.mint, 0) * token.factor for token in tokens}
    by_code = {token.asset: token for token in tokens}

    def line(amount: Amount, kind: FlowKind, ref: str = "", what: str = "") -> None:
        left[by_code[amount.asset].mint] -= amount.units
        if amount.units:
            name = " ".join(filter(None, (moves.signature, what, amount.asset.code, kind.value)))
            lines.append(CashFlow(moves.at, amount, kind, name, ref, venue))

    for fill in fills:
        sign, market = fill.side.sign, fill.instrument
        line(Amount(sign * fill.qty, market.base), FlowKind.TRADE, fill.key, fill.leg)
        line(Amount(-sign * fill.cost, market.quote), FlowKind.TRADE, fill.key, fill.leg)
        line(-fill.fee, FlowKind.FEE, fill.key, fill.leg)
    if fills and not bears:
        line(Amount(-moves.costs * sol.factor, sol.asset), FlowKind.FEE, "", "network")
    elif not fills and moves.mine:
        line(Amount(-(moves.fee + moves.rent) * sol.factor, sol.asset), FlowKind.FEE)
    rest = {token: left[token.mint] for token in tokens if left[token.mint]}
    signs = {units > 0 for units in rest.values()}
    kind = FlowKind.OTHER if fills else FlowKind.TRADE if len(signs) > 1 else FlowKind.DEPOSIT if signs == {True} else FlowKind.WITHDRAWAL
    for token, units in rest.items():
        line(Amount(units, token.asset), kind)
    return tuple(lines)
