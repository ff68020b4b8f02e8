"""From what happened to one balanced entry: pure functions, no state, no clock.

Each function says in its docstring which accounts move. All amounts are integers in smallest units. None of them
checks whether the money is there: that is the ledger's business. They only make sure that what they write balances.

    hold      FREE x -n                                | HELD x:order +n
    buy       FREE base +q | TRADING base -q           | HELD quote -h | FREE quote +(h - cost - fee) | TRADING +cost | FEES +fee
    sell      HELD base -h | FREE base +(h - q) | TRADING base +q
                                                       | FREE quote +(cost - fee) | TRADING -released | PNL -(cost - released) | FEES +fee
    sweep     FREE -n                                  | IDLE +n  | TRADEABLE +n | MEMO -n
"""

from __future__ import annotations

from attrs import frozen

from .errors import InvalidAmount
from .ledger import Account, Entry, EntryKind, Posting, Role
from .market import Instrument
from .money import PPM, Asset, Fraction, Rounding, divide, ppm
from .orders import Fill, Place, Side

__all__ = [
    "Allowance",
    "adjust",
    "allocate",
    "deposit",
    "earmark",
    "fill",
    "hold",
    "land",
    "open_vault",
    "reclaim",
    "release",
    "reserve",
    "sweep",
    "tradeable",
    "withdrawal",
]

WORLD = Account("world", Role.WORLD)


def _free(owner: str) -> Account:
    return Account(owner, Role.FREE)


def _idle(core: str, earmarked_for: str = "") -> Account:
    return Account(core, Role.IDLE, earmarked_for)


def _entry(at: int, kind: EntryKind, by: str, ref: str, why: str, *postings: Posting) -> Entry:
    return Entry(at, kind, by, tuple(p for p in postings if p.units), ref, why)


# -- between the world, the core vault and its sleeves -----------------------------------------------------------------


def open_vault(core: str, asset: Asset, total: int, *, at: int, by: str, why: str = "") -> Entry:
    """IDLE +total | WORLD -total."""
    return _entry(at, EntryKind.OPEN, by, "", why, Posting(_idle(core), asset, total), Posting(WORLD, asset, -total))


def tradeable(core: str, asset: Asset, change: int, *, at: int, by: str, why: str = "") -> Entry:
    """TRADEABLE +change | MEMO -change: a permission moves, no coin does."""
    limit, memo = Account(core, Role.TRADEABLE), Account(core, Role.MEMO)
    return _entry(at, EntryKind.TRADEABLE, by, "", why, Posting(limit, asset, change), Posting(memo, asset, -change))


def reserve(core: str, asset: Asset, change: int, *, at: int, by: str, why: str = "") -> Entry:
    """IDLE -change | RESERVED +change."""
    kept = Account(core, Role.RESERVED)
    return _entry(at, EntryKind.RESERVE, by, "", why, Posting(_idle(core), asset, -change), Posting(kept, asset, change))


def earmark(core: str, sleeve: str, asset: Asset, units: int, *, at: int, by: str, why: str = "") -> Entry:
    """IDLE -units | IDLE:sleeve +units: set aside for the sleeve's next buy (below zero: given back)."""
    return _entry(at, EntryKind.EARMARK, by, sleeve, why, Posting(_idle(core), asset, -units), Posting(_idle(core, sleeve), asset, units))


def allocate(core: str, sleeve: str, asset: Asset, units: int, *, at: int, by: str, why: str = "") -> Entry:
    """IDLE -units | FREE +units."""
    return _entry(at, EntryKind.ALLOCATE, by, sleeve, why, Posting(_idle(core), asset, -units), Posting(_free(sleeve), asset, units))


def land(core: str, sleeve: str, asset: Asset, units: int, *, at: int, by: str, why: str = "") -> Entry:
    """IDLE:sleeve -units | FREE +units: what was set aside arrives."""
    return _entry(
        at, EntryKind.ALLOCATE, by, sleeve, why, Posting(_idle(core, sleeve), asset, -units), Posting(_free(sleeve), asset, units)
    )


def reclaim(core: str, sleeve: str, asset: Asset, units: int, *, at: int, by: str, why: str = "") -> Entry:
    """FREE -units | IDLE +units, out of the sleeve's allocation."""
    return _entry(at, EntryKind.RECLAIM, by, sleeve, why, Posting(_free(sleeve), asset, -units), Posting(_idle(core), asset, units))


def sweep(core: str, sleeve: str, asset: Asset, units: int, kept: int, *, at: int, by: str, ref: str = "", why: str = "") -> Entry:
    """FREE -units | IDLE +units | TRADEABLE +units | MEMO -units, and HIGH_WATER +kept | MEMO -kept in the sleeve.

    `kept` is the change of the profit above its allocation that the sleeve has shared and keeps.
    """
    return _entry(
        at,
        EntryKind.SWEEP,
        by,
        ref,
        why,
        Posting(_free(sleeve), asset, -units),
        Posting(_idle(core), asset, units),
        Posting(Account(core, Role.TRADEABLE), asset, units),
        Posting(Account(core, Role.MEMO), asset, -units),
        Posting(Account(sleeve, Role.HIGH_WATER), asset, kept),
        Posting(Account(sleeve, Role.MEMO), asset, -kept),
    )


def deposit(core: str, asset: Asset, units: int, cures: dict[str, int], grows: int, *, at: int, by: str, why: str = "") -> Entry:
    """WORLD -units | SUSPENSE:cause +cured ... | IDLE +rest, and TRADEABLE +grows | MEMO -grows.

    New coins first make good what was missing (`cures`: units by cause), and only the rest is new money.
    """
    postings = [Posting(WORLD, asset, -units)]
    postings += [Posting(Account(core, Role.SUSPENSE, cause), asset, cured) for cause, cured in cures.items()]
    postings.append(Posting(_idle(core), asset, units - sum(cures.values())))
    postings.append(Posting(Account(core, Role.TRADEABLE), asset, grows))
    postings.append(Posting(Account(core, Role.MEMO), asset, -grows))
    return _entry(at, EntryKind.DEPOSIT, by, "", why, *postings)


def withdrawal(
    core: str, asset: Asset, idle: int, reserved: int, earmarked: dict[str, int], short: int, cause: str, *, at: int, by: str, why: str = ""
) -> Entry:
    """WORLD +all | IDLE -idle | IDLE:sleeve -earmarked ... | RESERVED -reserved | SUSPENSE:cause -short.

    What is in no sleeve goes first; what then is still missing is promised to sleeves, and stands in SUSPENSE.
    """
    total = idle + reserved + sum(earmarked.values()) + short
    postings = [Posting(WORLD, asset, total), Posting(_idle(core), asset, -idle)]
    postings += [Posting(_idle(core, sleeve), asset, -units) for sleeve, units in earmarked.items()]
    postings.append(Posting(Account(core, Role.RESERVED), asset, -reserved))
    postings.append(Posting(Account(core, Role.SUSPENSE, cause), asset, -short))
    return _entry(at, EntryKind.WITHDRAWAL, by, "", why, *postings)


def adjust(core: str, asset: Asset, cause: str, idle: int, reserved: int, *, at: int, by: str, why: str) -> Entry:
    """SUSPENSE:cause +(idle + reserved) | IDLE -idle | RESERVED -reserved: the core's own coins make a shortfall good."""
    return _entry(
        at,
        EntryKind.ADJUST,
        by,
        "",
        why,
        Posting(Account(core, Role.SUSPENSE, cause), asset, idle + reserved),
        Posting(_idle(core), asset, -idle),
        Posting(Account(core, Role.RESERVED), asset, -reserved),
    )


# -- what an order sets aside -------------------------------------------------------------------------------------------


@frozen(order=False)
class Allowance:
    """What a buy sets aside beyond its price: the highest fee that may come, and for orders at market a price move.

    Parts per million; `Allowance.of(fee="0.4%", slippage="0.5%")`. An order at market is sent with the price that its
    hold covers as its worst, so that a gap cannot reach into another sleeve's money.
    """

    fee_ppm: int = 4_000
    slippage_ppm: int = 5_000

    @classmethod
    def of(cls, fee: Fraction = "0.4%", slippage: Fraction = "0.5%") -> Allowance:
        return cls(ppm(fee, "fee allowance"), ppm(slippage, "slippage allowance"))

    def __attrs_post_init__(self) -> None:
        for name, value in (("fee", self.fee_ppm), ("slippage", self.slippage_ppm)):
            if not 0 <= value < PPM:
                raise InvalidAmount(f"{name} allowance {value} ppm must lie between 0% and 100%")

    def worst(self, place: Place, ask: int) -> int | None:
        """The highest price that the hold of a buy covers; None for a sale."""
        if place.side is not Side.BUY:
            return None
        if place.limit is not None:
            return place.limit
        return place.instrument.shift(ask if place.stop is None else place.stop, self.slippage_ppm, Rounding.FLOOR)

    def units(self, place: Place, worst: int | None) -> tuple[Asset, int]:
        """What is set aside: the coins to sell, or the worst price and the fee of the coins to buy, rounded up."""
        market = place.instrument
        if worst is None:
            return market.base, place.qty
        return market.quote, market.cost(worst, place.qty, Rounding.CEIL, self.fee_ppm)


# -- orders and fills of one sleeve ------------------------------------------------------------------------------------


def hold(sleeve: str, order_id: str, asset: Asset, units: int, *, at: int, by: str) -> Entry:
    """FREE -units | HELD:order +units."""
    return Entry(
        at,
        EntryKind.HOLD,
        by,
        (Posting(_free(sleeve), asset, -units), Posting(Account(sleeve, Role.HELD, order_id), asset, units)),
        order_id,
    )


def release(sleeve: str, order_id: str, asset: Asset, units: int, *, at: int, by: str, why: str = "") -> Entry:
    """HELD:order -units | FREE +units."""
    return Entry(
        at,
        EntryKind.RELEASE,
        by,
        (Posting(Account(sleeve, Role.HELD, order_id), asset, -units), Posting(_free(sleeve), asset, units)),
        order_id,
        why,
    )


def released_cost(open_cost: int, position: int, qty: int) -> int:
    """The part of the open cost that leaves with `qty` of `position`, at average cost.

    A full close releases all of it. A partial one is rounded up, so that a gain is never shown before it is made.
    """
    if qty >= position:
        return open_cost
    return divide(open_cost * qty, position, Rounding.CEIL)


def fill(sleeve: str, fill: Fill, *, held: int, position: int, open_cost: int, by: str) -> Entry:
    """A trade of a spot instrument that has happened, as one entry of one sleeve.

    `held` is the part of the order's hold that this fill uses up: quote units on a buy, base units on a sell. What the
    trade cost beyond it comes from FREE; what it did not need goes back there. `position` and `open_cost` are the
    sleeve's in this instrument before the fill.

    A fee in the base asset is booked in quote units at the fill's price, rounded up, and its coins leave the position
    unsold; a fee in a third asset is paid from the sleeve's own coins of it.
    """
    market = fill.instrument
    base, quote = market.base, market.quote
    free, trading = _free(sleeve), Account(sleeve, Role.TRADING, market.symbol)
    fees = Account(sleeve, Role.FEES, market.symbol)
    hold_account = Account(sleeve, Role.HELD, fill.order_id)
    qty, cost = fill.qty, fill.cost
    fee_units = fill.fee.units
    fee_quote = fee_base = 0
    third: tuple[Posting, ...] = ()
    fee_asset = fill.fee.asset
    if fee_asset is quote or fee_asset == quote:
        fee_quote = fee_units
    elif fee_asset == base:
        fee_base = fee_units
    elif fee_units:
        third = (Posting(free, fee_asset, -fee_units), Posting(fees, fee_asset, fee_units))
    if fill.side is Side.BUY:
        postings = _buy(market, free, hold_account, trading, fees, qty, cost, fee_quote, fee_base, fill.price, held)
    else:
        pnl = Account(sleeve, Role.PNL, market.symbol)
        postings = _sell(
            market, free, hold_account, trading, fees, pnl, qty, cost, fee_quote, fee_base, fill.price, held, position, open_cost
        )
    return Entry(fill.at, EntryKind.FILL, by, tuple([p for p in postings if p[2]]) + third, fill.key)


def _buy(
    market: Instrument,
    free: Account,
    hold: Account,
    trading: Account,
    fees: Account,
    qty: int,
    cost: int,
    fee_quote: int,
    fee_base: int,
    price: int,
    held: int,
) -> list[Posting]:
    base, quote = market.base, market.quote
    fee_value = market.cost(price, fee_base, Rounding.CEIL) if fee_base else 0
    return [
        Posting(free, base, qty - fee_base),
        Posting(trading, base, fee_base - qty),
        Posting(hold, quote, -held),
        Posting(free, quote, held - cost - fee_quote),
        Posting(trading, quote, cost - fee_value),
        Posting(fees, quote, fee_quote + fee_value),
    ]


def _sell(
    market: Instrument,
    free: Account,
    hold: Account,
    trading: Account,
    fees: Account,
    pnl: Account,
    qty: int,
    cost: int,
    fee_quote: int,
    fee_base: int,
    price: int,
    held: int,
    position: int,
    open_cost: int,
) -> list[Posting]:
    base, quote = market.base, market.quote
    out = qty + fee_base
    fee_value = market.cost(price, fee_base, Rounding.CEIL) if fee_base else 0
    released = released_cost(open_cost, position, out)
    return [
        Posting(hold, base, -held),
        Posting(free, base, held - out),
        Posting(trading, base, out),
        Posting(free, quote, cost - fee_quote),
        Posting(trading, quote, -released),
        Posting(pnl, quote, released - cost - fee_value),
        Posting(fees, quote, fee_quote + fee_value),
    ]
