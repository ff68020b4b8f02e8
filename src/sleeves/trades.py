"""A trade of a sleeve as the one entry that books it, whichever kind it is: coins, contracts, coins kept elsewhere, swaps."""

from __future__ import annotations

from . import booking, contracts, swaps
from .ledger import Account, Entry
from .orders import Fill, Side
from .sleeve import Sleeve

__all__ = ["closes", "entry_of"]


_BUY = Side.BUY


def closes(sleeve: Sleeve, fill: Fill) -> bool:
    """Whether a fill takes away from what the sleeve has: of that market, or of that coin wherever it was bought."""
    owned = sleeve.position_units(fill.instrument)
    if fill.side is _BUY:
        return owned < 0
    return owned > 0 or (not owned and fill.instrument.contract is None and bool(sleeve.kept(fill.instrument.base)))


def entry_of(sleeve: Sleeve, fill: Fill, *, held: int, by: str, account: Account | None = None) -> Entry:
    """The entry of a fill that has happened. `held` is the part of its order's hold that it uses up, `account` where that stands."""
    market = fill.instrument
    owned, cost = sleeve.position_units(market), sleeve.open_cost_units(market)
    if market.contract is not None:
        margin, free = sleeve.margin_units(market), sleeve.free_units(market.quote)
        return contracts.fill(sleeve.name, fill, held=held, position=owned, open_cost=cost, margin=margin, free=free, by=by)
    if market.quote is not sleeve.asset and market.quote != sleeve.asset:
        return _swap(sleeve, fill, held=held, by=by)
    if fill.side is not _BUY and owned < fill.qty + (fill.fee.units if fill.fee.asset == market.base else 0):
        others = [swaps.Kept(m.symbol, qty, sleeve.open_cost_units(m)) for m, qty in sleeve.kept(market.base) if m.symbol != market.symbol]
        if any(one.qty > 0 for one in others):
            return swaps.sale(sleeve.name, fill, held=held, own=swaps.Kept(market.symbol, owned, cost), others=others, by=by)
    return booking.fill(sleeve.name, fill, held=held, position=owned, open_cost=cost, by=by, account=account)


def _swap(sleeve: Sleeve, fill: Fill, *, held: int, by: str) -> Entry:
    """One coin for another: where the one that goes is kept, and under which market the one that comes will be."""
    market = fill.instrument
    goes, comes = (market.quote, market.base) if fill.side is Side.BUY else (market.base, market.quote)
    home, into = sleeve.home(goes), sleeve.home(comes)
    assert home is not None, "no trade is ordered whose coins have no market in the vault's asset"
    assert into is not None, "no trade is ordered whose coins have no market in the vault's asset"
    kept = [swaps.Kept(m.symbol, qty, sleeve.open_cost_units(m)) for m, qty in sleeve.kept(goes)]
    where = swaps.Kept(into.symbol, sleeve.position_units(into), sleeve.open_cost_units(into))
    out = kept or [swaps.Kept(home.symbol, 0, 0)]
    return swaps.cross(sleeve.name, fill, sleeve.asset, held=held, out=out, into=where, by=by)
