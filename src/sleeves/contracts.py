"""From what happened to a sleeve's slice of a perpetual position to one balanced entry: pure functions.

A contract is no coin, and opening one pays nothing but a fee. So the position and its open cost stand in TRADING as for
coins, with CONTRACTS as their other side; what was really won or lost goes to UNSETTLED until the venue settles it.

    fill      HELD:order -h | FREE +(h - m) | MARGIN +m
              CONTRACTS base +q | TRADING base -q | TRADING +cost | CONTRACTS -cost
              UNSETTLED +(made - fee) | PNL -made | FEES +fee
    funding   UNSETTLED +received | FUNDING -received
    settle    UNSETTLED -(n + fee) | FREE +n | FEES +fee
    bankrupt  UNSETTLED +n | PNL:bankruptcy -n

`m` is how far the margin set aside behind the slice changes: its open cost at the initial ratio. It is a fence inside
the sleeve, not something that the venue sees.
"""

from __future__ import annotations

from collections.abc import Sequence

from .booking import _cost_and_profit
from .facts import Bankrupted, FundingPaid, Liquidated, Settled
from .ledger import Account, Entry, EntryKind, Posting, Role
from .market import BP, Instrument
from .money import Asset, Rounding, divide
from .orders import Fill

__all__ = ["bankrupt", "fill", "funding", "liquidate", "margin_for", "settle", "share", "share_settlement"]


def margin_for(market: Instrument, open_cost: int) -> int:
    """What stands behind contracts that cost this much, in quote units: the initial ratio of it, rounded up."""
    assert market.contract is not None
    return divide(abs(open_cost) * market.contract.initial_bp, BP, Rounding.CEIL)


def fill(sleeve: str, fill: Fill, *, held: int, position: int, open_cost: int, margin: int, free: int, by: str) -> Entry:
    """A trade of contracts that has happened.

    `held` is the part of the order's hold that it uses up, `position` and `open_cost` the slice before it, `margin` what
    is set aside behind it and `free` the sleeve's free quote units. A fee in another coin than the quote is paid from
    the sleeve's own coins of it.
    """
    side = 1 if fill.side.sign > 0 else -1
    fee = fill.fee.units if fill.fee.asset == fill.instrument.quote else 0
    postings = _trade(
        sleeve,
        fill.instrument,
        side * fill.qty,
        side * fill.cost,
        fee,
        position=position,
        open_cost=open_cost,
        margin=margin,
        free=free + held,
    )
    hold, loose, fees = Account(sleeve, Role.HELD, fill.order_id), Account(sleeve, Role.FREE), _account(sleeve, Role.FEES, fill.instrument)
    postings += [Posting(hold, fill.instrument.quote, -held), Posting(loose, fill.instrument.quote, held)]
    if fill.fee.asset != fill.instrument.quote:
        postings += [Posting(loose, fill.fee.asset, -fill.fee.units), Posting(fees, fill.fee.asset, fill.fee.units)]
    return _entry(fill.at, EntryKind.FILL, by, postings, fill.key)


def liquidate(
    sleeve: str, fact: Liquidated, change: int, cost: int, fee: int, *, position: int, open_cost: int, margin: int, free: int, by: str
) -> Entry:
    """This sleeve's part of a liquidation: `change` contracts for `cost`, at a `fee`, in quote units."""
    side = 1 if change > 0 else -1
    postings = _trade(sleeve, fact.instrument, change, side * cost, fee, position=position, open_cost=open_cost, margin=margin, free=free)
    return _entry(fact.at, EntryKind.LIQUIDATION, by, postings, fact.key, "liquidated by the venue")


def _trade(
    sleeve: str,
    market: Instrument,
    change: int,
    spent: int,
    fee: int,
    *,
    position: int,
    open_cost: int,
    margin: int,
    free: int,
) -> list[Posting]:
    """The slice changes by `change` for `spent` (below zero: received); its margin follows as far as free coins go."""
    base, quote = market.base, market.quote
    trading, contracts = _account(sleeve, Role.TRADING, market), _account(sleeve, Role.CONTRACTS, market)
    cost, made = _cost_and_profit(position, open_cost, change, spent)
    more = min(margin_for(market, open_cost + cost) - margin, max(0, free))
    return [
        Posting(Account(sleeve, Role.FREE), quote, -more),
        Posting(_account(sleeve, Role.MARGIN, market), quote, more),
        Posting(contracts, base, change),
        Posting(trading, base, -change),
        Posting(trading, quote, cost),
        Posting(contracts, quote, -cost),
        Posting(_account(sleeve, Role.UNSETTLED, market), quote, made - fee),
        Posting(_account(sleeve, Role.PNL, market), quote, -made),
        Posting(_account(sleeve, Role.FEES, market), quote, fee),
    ]


def funding(sleeve: str, fact: FundingPaid, received: int, *, by: str) -> Entry:
    """UNSETTLED +received | FUNDING -received: this sleeve's part of a funding payment (below zero: it pays)."""
    market = fact.instrument
    postings = [
        Posting(_account(sleeve, Role.UNSETTLED, market), market.quote, received),
        Posting(_account(sleeve, Role.FUNDING, market), market.quote, -received),
    ]
    return _entry(fact.at, EntryKind.FUNDING, by, postings, fact.key)


def settle(sleeve: str, fact: Settled, units: int, *, margin: int, free: int, by: str, fee: int = 0) -> Entry:
    """UNSETTLED -(units + fee) | FREE +units | FEES +fee. A loss that FREE cannot bear takes the slice's own margin before it overdraws."""
    market = fact.instrument
    from_margin = min(margin, max(0, -units - max(0, free)))
    postings = [
        Posting(_account(sleeve, Role.UNSETTLED, market), market.quote, -units - fee),
        Posting(Account(sleeve, Role.FREE), market.quote, units + from_margin),
        Posting(_account(sleeve, Role.FEES, market), market.quote, fee),
        Posting(_account(sleeve, Role.MARGIN, market), market.quote, -from_margin),
    ]
    return _entry(fact.at, EntryKind.SETTLE, by, postings, fact.key)


def share_settlement(amount: int, unsettled: Sequence[int], slices: Sequence[int]) -> list[int]:
    """What each owner of a netted position gets of `amount` that the venue settled (below zero: pays); sums to it exactly.

    The venue settles what its one netted position has realized, which is not what the slices have: closing one slice may
    only turn the net. Losers pay what they realized, winners are paid out of that and of what came, as far as it goes;
    what they still lack stays unsettled until the position that owes it is closed. Only what is left over is shared by
    open slices, by size: cash that came early, or that the venue took for a loss which nobody has realized.
    """
    parts = [min(0, own) for own in unsettled]
    left = amount - sum(parts)
    claims = [max(0, own) for own in unsettled]
    paid = min(max(0, left), sum(claims))
    for i, part in enumerate(share(paid, claims)):
        parts[i] += part
    sizes = [abs(own) for own in slices]
    weights = sizes if any(sizes) else [abs(own) for own in unsettled]
    for i, part in enumerate(share(left - paid, weights if any(weights) else [1] * len(parts))):
        parts[i] += part
    return parts


def share(amount: int, weights: Sequence[int]) -> list[int]:
    """`amount` by weights, none below zero, summing to it exactly; the remainder by largest fraction, ties to the earlier.

    Nothing for anybody when no weight is above zero.
    """
    total = sum(weights)
    if not total:
        return [0] * len(weights)
    size, sign = abs(amount), 1 if amount >= 0 else -1
    parts = [size * weight // total for weight in weights]
    order = sorted(range(len(weights)), key=lambda i: (-(size * weights[i] % total), i))
    for i in order[: size - sum(parts)]:
        parts[i] += 1
    return [sign * part for part in parts]


def bankrupt(sleeve: str, fact: Bankrupted, units: int, *, by: str) -> Entry:
    """UNSETTLED +units | PNL:bankruptcy -units: this sleeve's part of a loss that others bore."""
    market = fact.instrument
    postings = [
        Posting(_account(sleeve, Role.UNSETTLED, market), market.quote, units),
        Posting(Account(sleeve, Role.PNL, "bankruptcy"), market.quote, -units),
    ]
    return _entry(fact.at, EntryKind.BANKRUPTCY, by, postings, fact.key, "borne by others")


def _account(sleeve: str, role: Role, market: Instrument) -> Account:
    return Account(sleeve, role, market.symbol)


def _entry(at: int, kind: EntryKind, by: str, postings: Sequence[Posting], ref: str, why: str = "") -> Entry:
    """An entry with each account once, and none that does not move."""
    sums: dict[tuple[Account, Asset], int] = {}
    for account, asset, units in postings:
        sums[account, asset] = sums.get((account, asset), 0) + units
    return Entry(at, kind, by, tuple(Posting(account, asset, units) for (account, asset), units in sums.items() if units), ref, why)
