"""Trades whose coins a sleeve keeps under other markets: pure functions from what happened to one balanced entry.

A sleeve may buy a coin on one market and sell it on another of the same pair: a sale takes from its own market's
position first, then from the others in the coin, each at average cost, and the profit is that of the market it was sold on.

    sale    HELD base -h | FREE base +(h - q) | TRADING:own base +a | TRADING:other base +b ...
            FREE quote +(cost - fee) | TRADING:own -released | TRADING:other -released ... | PNL -made | FEES +fee

A trade of one coin for another, where neither is the vault's asset, makes nothing: what the coin that goes had cost is
what the coin that comes has cost. Profit is made when money of the vault's asset comes back.

    cross   HELD out -h | FREE out +(h - q) | TRADING:out +q | TRADING:out asset -released
            FREE in +p | TRADING:in -p | TRADING:in asset +(released - fee) | FEES asset +fee
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .booking import _cost_and_profit, released_cost
from .ledger import Account, Entry, EntryKind, Posting, Role
from .money import Asset, Rounding, divide
from .orders import Fill, Side

__all__ = ["Kept", "cross", "sale"]


class Kept(NamedTuple):
    """Coins of one kind that stand under a market: how many, and what they cost in units of the vault's asset."""

    symbol: str
    qty: int
    cost: int


def _draw(kept: Sequence[Kept], qty: int) -> tuple[list[Kept], int]:
    """What leaves each of them, in order, at average cost; and what none of them has."""
    drawn = []
    for one in kept:
        part = min(qty, max(0, one.qty))
        if part:
            drawn.append(Kept(one.symbol, part, released_cost(one.cost, one.qty, part)))
            qty -= part
    return drawn, qty


def _third(sleeve: str, fill: Fill) -> list[Posting]:
    """A fee in a coin that is not traded is paid from the sleeve's own coins of it."""
    market, fee = fill.instrument, fill.fee
    if not fee.units or fee.asset in (market.base, market.quote):
        return []
    free, fees = Account(sleeve, Role.FREE), Account(sleeve, Role.FEES, market.symbol)
    return [Posting(free, fee.asset, -fee.units), Posting(fees, fee.asset, fee.units)]


def sale(sleeve: str, fill: Fill, *, held: int, own: Kept, others: Sequence[Kept], by: str) -> Entry:
    """A sale for the vault's asset of coins that stand, at least in part, under other markets.

    `held` is the part of the order's hold that it uses up. What nobody has leaves its own market's position below zero.
    """
    market = fill.instrument
    base, quote = market.base, market.quote
    fee_quote = fill.fee.units if fill.fee.asset == quote else 0
    fee_base = fill.fee.units if fill.fee.asset == base else 0
    fee_value = fee_quote + market.cost(fill.price, fee_base, Rounding.CEIL)
    gone = fill.qty + fee_base
    mine = min(gone, max(0, own.qty))
    drawn, missing = _draw(others, gone - mine)
    mine += missing
    brought = fill.cost + fee_value - fee_quote
    shares = [divide(brought * one.qty, gone, Rounding.FLOOR) for one in drawn]
    rest = brought - sum(shares)
    cost, made = _cost_and_profit(own.qty, own.cost, -mine, -rest) if mine else (0, rest)
    made += sum(shares) - sum(one.cost for one in drawn)
    free, trading = Account(sleeve, Role.FREE), Account(sleeve, Role.TRADING, market.symbol)
    postings = [
        Posting(Account(sleeve, Role.HELD, fill.order_id), base, -held),
        Posting(free, base, held - gone),
        Posting(trading, base, mine),
        Posting(free, quote, fill.cost - fee_quote),
        Posting(trading, quote, cost),
        Posting(Account(sleeve, Role.PNL, market.symbol), quote, -made),
        Posting(Account(sleeve, Role.FEES, market.symbol), quote, fee_value),
        *_leaving(sleeve, drawn, base, quote),
        *_third(sleeve, fill),
    ]
    return Entry(fill.at, EntryKind.FILL, by, tuple(p for p in postings if p.units), fill.key)


def cross(sleeve: str, fill: Fill, asset: Asset, *, held: int, out: Sequence[Kept], into: Kept, by: str) -> Entry:
    """A trade of one coin for another, neither of them the vault's asset.

    `out` is where the coin that goes is kept, the market first that is short where nobody has it; `into` is where the
    coin that comes is kept, and what it has of it now.
    """
    market, buys = fill.instrument, fill.side is Side.BUY
    fee_quote = fill.fee.units if fill.fee.asset == market.quote else 0
    fee_base = fill.fee.units if fill.fee.asset == market.base else 0
    if buys:
        goes, comes, gone, got = market.quote, market.base, fill.cost + fee_quote, fill.qty - fee_base
        fee, of = (fee_quote, gone) if fee_quote else (fee_base, fill.qty)
    else:
        goes, comes, gone, got = market.base, market.quote, fill.qty + fee_base, fill.cost - fee_quote
        fee, of = (fee_base, gone) if fee_base else (fee_quote, fill.cost)
    drawn, missing = _draw(out, gone)
    worth = sum(one.cost for one in drawn)
    paid = divide(worth * fee, of, Rounding.CEIL) if fee > 0 and of else 0
    cost, made = _cost_and_profit(into.qty, into.cost, got, worth - paid)
    free, trading = Account(sleeve, Role.FREE), Account(sleeve, Role.TRADING, into.symbol)
    postings = [
        Posting(Account(sleeve, Role.HELD, fill.order_id), goes, -held),
        Posting(free, goes, held - gone),
        Posting(free, comes, got),
        Posting(trading, comes, -got),
        Posting(trading, asset, cost),
        Posting(Account(sleeve, Role.PNL, market.symbol), asset, -made),
        Posting(Account(sleeve, Role.FEES, market.symbol), asset, paid),
        *_leaving(sleeve, drawn, goes, asset),
        *_third(sleeve, fill),
    ]
    if missing:
        postings.append(Posting(Account(sleeve, Role.TRADING, out[0].symbol), goes, missing))
    return Entry(fill.at, EntryKind.FILL, by, _merged(postings), fill.key)


def _leaving(sleeve: str, drawn: Sequence[Kept], coin: Asset, asset: Asset) -> list[Posting]:
    postings = []
    for one in drawn:
        trading = Account(sleeve, Role.TRADING, one.symbol)
        postings += [Posting(trading, coin, one.qty), Posting(trading, asset, -one.cost)]
    return postings


def _merged(postings: Sequence[Posting]) -> tuple[Posting, ...]:
    """Each account once, and none that does not move."""
    sums: dict[tuple[Account, Asset], int] = {}
    for account, asset, units in postings:
        sums[account, asset] = sums.get((account, asset), 0) + units
    return tuple(Posting(account, asset, units) for (account, asset), units in sums.items() if units)
