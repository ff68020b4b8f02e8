"""From an order to a transaction that may be signed: the quote that it is for, the least that it must bring, and the bytes.

A swap names exactly what goes in. So a sale is for its quantity. A buy is for the money that brings its quantity, found by asking
for quotes: from the price that was told last, scaled by what came out, which nears it from above since a larger trade never has
the better price.

    least     what must come, so that no fill is worse than the order's limit, its worst price, or the slippage that is allowed
    beyond    where even the quote is worse, nothing is sent

The transaction holds itself to that: after the swap it pays to its own wallet all that must be there by then, which fails where
it is not. So neither what the interface says, nor what a pool does between the look and the block, takes more than was agreed.

It signs nothing and sends nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from attrs import frozen

from ...errors import VenueUnavailable
from ...market import BP
from ...money import Rounding, divide
from ...orders import Order, Side, TimeInForce
from ..solana import (
    COMPUTE_BUDGET,
    MEMO,
    MEMO_V1,
    WSOL,
    Account,
    Blockhash,
    Refused,
    Spending,
    TokenAccount,
    ata,
    compile_v0,
    memo,
    transfer_sol,
    transfer_tokens,
    unit_limit,
    unit_price,
)
from ..solana.written import address, instruction
from .client import Build, Route
from .markets import Market

__all__ = [
    "MOST_UNITS",
    "PER_SIGNATURE",
    "Beyond",
    "Offer",
    "Promise",
    "Terms",
    "Wallet",
    "bound_of",
    "find_offer",
    "fitting_price",
    "least_of",
    "promise_of",
    "slippage_for",
    "unit_price_of",
    "write",
]

MOST_UNITS = 1_400_000
PER_SIGNATURE = 5_000
ROUNDS = 5
"""How many quotes a buy may take to find its money."""
CLOSE = 100_000
"""A quote is near enough where it brings at most this part more than was ordered: a tenth of a basis point."""
_MICRO = 1_000_000

Ask = Callable[[int, int], Awaitable[Any]]
"""A quote for raw units in and a slippage in basis points, as something with a `route`."""


class Beyond(Exception):
    """The market is worse than the order allows. Nothing was sent."""


@frozen(order=False)
class Offer:
    """What is to be signed for an order: what goes in, the least that comes, and the answer that says how."""

    paid: int
    least: int
    answer: Any

    @property
    def route(self) -> Route:
        route: Route = self.answer.route
        return route


@frozen(order=False)
class Wallet:
    """What a wallet has before a swap, in raw units: lamports, wrapped SOL, and the two tokens; None for an account not there.

    `rent` are the lamports in the account of wrapped SOL beside it: they come free where a swap closes it, and nobody sold them.
    """

    lamports: int
    wrapped: int | None
    base: int | None
    quote: int | None
    rent: int = 0

    @classmethod
    def of(cls, accounts: Sequence[Account | None]) -> Wallet:
        """From the accounts of the wallet, of its wrapped SOL, and of the two tokens."""
        home, *tokens = accounts
        found = [TokenAccount.find(one) for one in tokens]
        wrapped, base, quote = (None if one is None else one.amount for one in found)
        rent = 0 if found[0] is None else found[0].lamports - found[0].amount
        return cls(home.lamports if home else 0, wrapped, base, quote, rent)


@frozen(order=False)
class Promise:
    """What a call of Jupiter's program says of itself: exactly what goes in, and the least that comes."""

    paid: int
    least: int


_EARLY = {bytes.fromhex("bb64facc31c4af14"): 8, bytes.fromhex("d19853937cfed8e9"): 9}
"""route_v2 and shared_accounts_route_v2: at which byte the figures begin; the route comes after them."""
_LATE = (bytes.fromhex("e517cb977ae3ad2a"), bytes.fromhex("c1209b3341d69c81"))
"""route and shared_accounts_route: the figures are the last bytes."""
_FIGURES = struct.Struct("<QQHHH")
_LATE_FIGURES = struct.Struct("<QQHB")


def promise_of(data: bytes) -> Promise | None:
    """Read a call of Jupiter's program, version 6; None for one that is not understood, or that names no exact sum that goes in.

    Source: the program's interface as it lies on the chain. The figures are what goes in, what was quoted, slippage and fee in
    basis points. The fee is counted as if it came off besides the slippage: no less than that comes.
    """
    paid = quoted = slippage = fee = 0
    at = _EARLY.get(data[:8])
    if at is not None and len(data) >= at + _FIGURES.size:
        paid, quoted, slippage, fee, _ = _FIGURES.unpack_from(data, at)
    elif data[:8] in _LATE and len(data) >= 8 + _LATE_FIGURES.size:
        paid, quoted, slippage, fee = _LATE_FIGURES.unpack(data[-_LATE_FIGURES.size :])
    else:
        return None
    if slippage > BP or fee > BP:
        return None
    return Promise(paid, quoted * (BP - slippage) * (BP - fee) // (BP * BP))


def bound_of(order: Order) -> int | None:
    """The worst price that an order allows, in the instrument's units: its limit, and the price that its hold covers."""
    prices = [price for price in (order.place.limit, order.worst) if price is not None]
    if not prices:
        return None
    return min(prices) if order.place.side is Side.BUY else max(prices)


def least_of(order: Order, market: Market, paid: int, out: int, slippage_bps: int) -> int:
    """The least raw units that may come for `paid` raw units, of which `out` are quoted: within the bound, and the slippage."""
    bound, instrument = bound_of(order), market.instrument
    by_slippage = divide(out * (BP - slippage_bps), BP, Rounding.FLOOR)
    if order.place.side is Side.SELL:
        if bound is None:
            return by_slippage
        money = instrument.cost(bound, order.place.qty, Rounding.CEIL)
        return max(by_slippage, divide(money, market.quote.factor, Rounding.CEIL))
    lots = divide(by_slippage * market.base.factor, instrument.lot_units, Rounding.FLOOR)
    if bound is not None:
        times, over = instrument.ratio
        exact = divide(paid * market.quote.factor * over, bound * times, Rounding.CEIL)
        lots = max(lots, divide(exact, instrument.lot_units, Rounding.CEIL))
    least = max(1, lots) * instrument.lot_units
    if order.place.tif is TimeInForce.FOK:
        least = max(least, order.place.qty)
    return divide(least, market.base.factor, Rounding.CEIL)


def slippage_for(out: int, least: int, most_bps: int) -> int:
    """The most basis points that a quote may lose and still bring the least."""
    return max(0, min(most_bps, (out - least) * BP // out)) if out else 0


async def find_offer(order: Order, market: Market, ask: Ask, price: int | None, slippage_bps: int) -> Offer:
    """Find the quote to trade an order on. `price` is the ask that was told last, if any. Raises `Beyond`, and what `ask` raises."""
    if order.place.side is Side.SELL:
        paid = market.base.raw(order.place.qty)
        answer = await ask(paid, slippage_bps)
    else:
        paid, answer = await _money(order, market, ask, price, slippage_bps)
    slippage = slippage_bps
    for _ in range(3):
        route: Route = answer.route
        least = least_of(order, market, paid, route.out_amount, slippage_bps)
        if route.out_amount < least:
            bound = bound_of(order)
            shown = "what was ordered" if bound is None else market.instrument.price_text(bound)
            raise Beyond(f"{route.out_amount} raw units for {paid} are quoted, no less than {least} keep to {shown}")
        if route.threshold >= least:
            return Offer(paid, least, answer)
        taken = divide(max(0, route.out_amount - route.threshold) * BP, route.out_amount, Rounding.CEIL) - slippage
        slippage = max(0, slippage_for(route.out_amount, least, slippage_bps) - max(0, taken))
        answer = await ask(paid, slippage)
    raise Beyond("the quote moved each time that it was asked for")


async def _money(order: Order, market: Market, ask: Ask, price: int | None, slippage_bps: int) -> tuple[int, Any]:
    """What a buy pays in, in raw units, and the quote for it: that which brings the quantity for least, as near as it was found."""
    instrument, bound, wanted = market.instrument, bound_of(order), market.base.raw(order.place.qty)
    most = None
    if bound is not None:
        most = divide(instrument.cost(bound, order.place.qty, Rounding.FLOOR), market.quote.factor, Rounding.FLOOR)
    guess = price if price is not None else bound
    if guess is None:
        raise VenueUnavailable(f"no price of {market.symbol} is known yet")
    paid = max(1, divide(instrument.cost(guess, order.place.qty, Rounding.CEIL), market.quote.factor, Rounding.CEIL))
    best: tuple[int, Any] | None = None
    for _ in range(ROUNDS):
        paid = paid if most is None else min(paid, most)
        if paid < 1:
            raise Beyond("at this price it costs less than can be paid")
        answer = await ask(paid, slippage_bps)
        out = answer.route.out_amount
        enough = out >= wanted
        if best is None or (enough, -paid if enough else paid) > (best[1].route.out_amount >= wanted, -best[0] if enough else best[0]):
            best = paid, answer
        if (enough and out - wanted <= wanted // CLOSE) or (not enough and paid == most):
            break
        scaled = divide(paid * wanted, out, Rounding.CEIL)
        step = scaled if enough else scaled + max(1, (scaled - paid) // 64)
        if step == paid:
            break
        paid = step
    assert best is not None
    return best


# -- the transaction -----------------------------------------------------------------------------------------------------------


@frozen(order=False)
class Terms:
    """What a transaction costs: a limit of compute units and the price of one in micro-lamports, and a tip with its account."""

    units: int
    unit_price: int
    tip: int = 0
    tip_account: str = ""

    @property
    def fee(self) -> int:
        """Lamports for signature and priority."""
        return PER_SIGNATURE + divide(self.unit_price * self.units, _MICRO, Rounding.CEIL)


def unit_price_of(build: Build) -> int:
    """What the interface would pay for a compute unit, in micro-lamports."""
    prices = [
        int.from_bytes(one.data[1:9], "little")
        for one in build.budget
        if one.program == str(COMPUTE_BUDGET) and one.data[:1] == b"\3" and len(one.data) == 9
    ]
    return max(prices, default=0)


def fitting_price(offered: int, units: int, most_fee: int) -> int:
    """A price of a compute unit at which the fee stays within its cap."""
    return max(0, min(offered, (most_fee - PER_SIGNATURE) * _MICRO // units))


def write(
    owner: str,
    market: Market,
    side: Side,
    offer: Offer,
    terms: Terms,
    wallet: Wallet,
    blockhash: Blockhash,
    note: str,
    programs: tuple[Any, Any],
) -> tuple[bytes, Spending, int]:
    """The unsigned transaction, what it may move, and the place of the instruction that holds it to that; -1 for none.

    `programs` are the token programs of base and quote. Raises `InvalidMarket` where it is too large, and `Refused` for a memo that is
    not ours.
    """
    build: Build = offer.answer
    me = address(owner)
    goes, comes = (market.quote, market.base) if side is Side.BUY else (market.base, market.quote)
    has, program = (wallet.base, programs[0]) if side is Side.BUY else (wallet.quote, programs[1])
    tips = [transfer_sol(me, address(terms.tip_account), terms.tip)] if terms.tip else []
    mint = address(comes.mint)
    if mint == WSOL:
        there = wallet.lamports + (wallet.wrapped or 0) + wallet.rent + offer.least - terms.fee - terms.tip
        held = transfer_sol(me, me, max(0, there))
    else:
        account = ata(me, mint, program)
        held = transfer_tokens(account, mint, account, me, (has or 0) + offer.least, comes.decimals, program)
    parts = (*build.setup, build.swap, *build.other, *build.cleanup)
    if any(one.program in (str(MEMO), str(MEMO_V1)) for one in parts):
        raise Refused("memo", "a memo is among the instructions that were handed out: what a transaction says of itself is ours to say")
    given = [instruction(one.program, one.accounts, one.data) for one in parts]
    instructions = [unit_limit(terms.units), unit_price(terms.unit_price), *given, *tips, held, memo(note, me)]
    tables = {address(table): tuple(address(key) for key in keys) for table, keys in build.tables.items()}
    raw = compile_v0(me, instructions, blockhash.hash, tables, static=[address(terms.tip_account)] if terms.tip else ())
    spending = Spending(
        most_out={address(goes.mint): offer.paid},
        least_in={mint: offer.least},
        lamports=terms.fee + terms.tip,
        fee=terms.fee,
        tip=terms.tip,
        rent=0,
    )
    return raw, spending, 2 + len(given) + len(tips)
