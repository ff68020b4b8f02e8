"""From what happened to one balanced entry: pure functions, no state, no clock.

Each function says in its docstring which accounts move. All amounts are integers in smallest units. None of them
checks whether the money is there: that is the ledger's business. They only make sure that what they write balances.

    hold      FREE x -n                                | HELD x:order +n
    buy       FREE base +q | TRADING base -q
              HELD quote -h | FREE quote +(h - cost - fee) | TRADING +cost | FEES +fee
    sell      HELD base -h | FREE base +(h - q) | TRADING base +q
              FREE quote +(cost - fee) | TRADING -released | PNL -(cost - released) | FEES +fee
    sweep     FREE -n                                  | IDLE +n  | TRADEABLE +n | MEMO -n
"""

from __future__ import annotations

from functools import lru_cache

from attrs import frozen

from .errors import InvalidAmount
from .ledger import Account, Entry, EntryKind, Posting, Role
from .making import maker
from .market import BP, Book, Instrument
from .money import MAX_SCALE, PPM, Asset, Fraction, Rounding, divide, ppm
from .orders import Fill, Place, Side

__all__ = [
    "Allowance",
    "adjust",
    "adopt_coins",
    "allocate",
    "arrive",
    "bind",
    "call_back",
    "come_home",
    "cover",
    "deposit",
    "earmark",
    "fill",
    "gain",
    "gone",
    "hold",
    "land",
    "mint",
    "move",
    "open_vault",
    "paid_in",
    "paid_out",
    "reclaim",
    "redeem",
    "release",
    "reserve",
    "send",
    "set_out",
    "suspend",
    "sweep",
    "take_in",
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
    return _sweep(_free(sleeve), core, sleeve, asset, units, kept, at=at, by=by, ref=ref, why=why)


def _sweep(whence: Account, core: str, sleeve: str, asset: Asset, units: int, kept: int, *, at: int, by: str, ref: str, why: str) -> Entry:
    return _entry(
        at,
        EntryKind.SWEEP,
        by,
        ref,
        why,
        Posting(whence, asset, -units),
        Posting(_idle(core), asset, units),
        Posting(Account(core, Role.TRADEABLE), asset, units),
        Posting(Account(core, Role.MEMO), asset, -units),
        Posting(Account(sleeve, Role.HIGH_WATER), asset, kept),
        Posting(Account(sleeve, Role.MEMO), asset, -kept),
    )


# -- between a core vault and a sleeve with a sub-account of its own ----------------------------------------------------


def _between(sleeve: str, of: str) -> Account:
    return Account(sleeve, Role.BETWEEN, of)


def set_out(core: str, sleeve: str, asset: Asset, units: int, of: str, *, at: int, by: str, why: str = "") -> Entry:
    """IDLE -units | BETWEEN:of +units: allocated, and still to go to the sub-account."""
    return _entry(at, EntryKind.ALLOCATE, by, sleeve, why, Posting(_idle(core), asset, -units), Posting(_between(sleeve, of), asset, units))


def call_back(core: str, sleeve: str, asset: Asset, units: int, of: str, *, at: int, by: str, ref: str = "", why: str = "") -> Entry:
    """BETWEEN:of -units | IDLE +units: it was allocated and has not gone, or it came back out of the sleeve's allocation."""
    ref = ref or sleeve
    return _entry(at, EntryKind.RECLAIM, by, ref, why, Posting(_between(sleeve, of), asset, -units), Posting(_idle(core), asset, units))


def move(sleeve: str, asset: Asset, units: int, before: str, after: str, *, at: int, by: str, ref: str = "", why: str = "") -> Entry:
    """BETWEEN:before -units | BETWEEN:after +units; nothing stands for FREE, the sub-account itself."""
    whence, to = (_between(sleeve, of) if of else _free(sleeve) for of in (before, after))
    return _entry(at, EntryKind.MOVE, by, ref, why, Posting(whence, asset, -units), Posting(to, asset, units))


def arrive(sleeve: str, asset: Asset, units: int, of: str, *, at: int, by: str, ref: str) -> Entry:
    """BETWEEN:of -units | FREE +units: what was allocated is in the sub-account."""
    return _entry(at, EntryKind.ARRIVE, by, ref, "", Posting(_between(sleeve, of), asset, -units), Posting(_free(sleeve), asset, units))


def come_home(core: str, sleeve: str, asset: Asset, units: int, kept: int, of: str, *, at: int, by: str, ref: str, why: str) -> Entry:
    """As `sweep`, out of BETWEEN:of: the profit has come from the sub-account."""
    return _sweep(_between(sleeve, of), core, sleeve, asset, units, kept, at=at, by=by, ref=ref, why=why)


# -- in and out of the wallet -------------------------------------------------------------------------------------------


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


def send(core: str, asset: Asset, transfer: str, units: int, *, at: int, by: str, why: str = "", client: str = "") -> Entry:
    """IDLE -units | IN_TRANSIT:transfer +units: set out to leave the wallet (below zero: it stays after all).

    Out of the money of a client, CLIENT:client in the place of IDLE.
    """
    way = Account(core, Role.IN_TRANSIT, transfer)
    whence = Account(core, Role.CLIENT, client) if client else _idle(core)
    return _entry(at, EntryKind.SEND, by, transfer, why, Posting(whence, asset, -units), Posting(way, asset, units))


def gone(core: str, asset: Asset, transfer: str, units: int, *, at: int, by: str, ref: str = "") -> Entry:
    """IN_TRANSIT:transfer -units | WORLD +units: what set out has left the wallet."""
    way = Account(core, Role.IN_TRANSIT, transfer)
    return _entry(at, EntryKind.WITHDRAWAL, by, ref, "", Posting(way, asset, -units), Posting(WORLD, asset, units))


# -- investors ----------------------------------------------------------------------------------------------------------


def investor(name: str) -> str:
    """The owner of an investor's accounts."""
    return f"investor:{name}"


def paid_in(core: str, asset: Asset, client: str, units: int, *, at: int, by: str, ref: str = "", why: str = "") -> Entry:
    """WORLD -units | CLIENT:client +units: an investor's money came into the wallet."""
    mine = Account(core, Role.CLIENT, client)
    return _entry(at, EntryKind.DEPOSIT, by, ref, why, Posting(WORLD, asset, -units), Posting(mine, asset, units))


def paid_out(core: str, asset: Asset, client: str, units: int, *, at: int, by: str, ref: str = "", why: str = "") -> Entry:
    """CLIENT:client -units | WORLD +units: an investor's money has left the wallet."""
    mine = Account(core, Role.CLIENT, client)
    return _entry(at, EntryKind.WITHDRAWAL, by, ref, why, Posting(mine, asset, -units), Posting(WORLD, asset, units))


def _limit(core: str, asset: Asset, change: int) -> tuple[Posting, Posting]:
    """TRADEABLE +change | MEMO -change."""
    return Posting(Account(core, Role.TRADEABLE), asset, change), Posting(Account(core, Role.MEMO), asset, -change)


def _basis(owner: str, asset: Asset, change: int, of: str = "") -> tuple[Posting, Posting]:
    """BASIS:of +change | MEMO -change of an investor."""
    return Posting(Account(owner, Role.BASIS, of), asset, change), Posting(Account(owner, Role.MEMO), asset, -change)


def mint(
    core: str,
    asset: Asset,
    pool: str,
    share: Asset,
    client: str,
    units: int,
    shares: int,
    *,
    basis: int = 0,
    fresh: bool = True,
    at: int,
    by: str,
    ref: str = "",
    why: str = "",
) -> Entry:
    """WORLD (or CLIENT:client) -units | IDLE +units, TRADEABLE +units, and SHARES of the investor +shares | ISSUED -shares.

    Money and the shares for it in one entry, with BASIS:share +basis of the investor. No units: shares alone, as a fee is paid.
    """
    whence = WORLD if fresh else Account(core, Role.CLIENT, client)
    owner = investor(client)
    return _entry(
        at,
        EntryKind.MINT,
        by,
        ref,
        why,
        Posting(whence, asset, -units),
        Posting(_idle(core), asset, units),
        *_limit(core, asset, units),
        Posting(Account(owner, Role.SHARES), share, shares),
        Posting(Account(pool, Role.ISSUED), share, -shares),
        *_basis(owner, asset, basis, share.code),
    )


def redeem(
    core: str,
    asset: Asset,
    pool: str,
    share: Asset,
    client: str,
    bound: str,
    shares: int,
    idle: int,
    reserved: int,
    risk: int,
    basis: int,
    *,
    at: int,
    by: str,
    ref: str = "",
    why: str = "",
) -> Entry:
    """SHARES:bound of the investor -shares | ISSUED +shares, and IDLE -idle | RESERVED -reserved | CLIENT:client +both.

    With TRADEABLE -risk, and BASIS:bound -basis of the investor.
    """
    owner = investor(client)
    return _entry(
        at,
        EntryKind.REDEEM,
        by,
        ref,
        why,
        Posting(Account(owner, Role.SHARES, bound), share, -shares),
        Posting(Account(pool, Role.ISSUED), share, shares),
        Posting(_idle(core), asset, -idle),
        Posting(Account(core, Role.RESERVED), asset, -reserved),
        Posting(Account(core, Role.CLIENT, client), asset, idle + reserved),
        *_limit(core, asset, -risk),
        *_basis(owner, asset, -basis, bound or share.code),
    )


def bind(
    asset: Asset,
    share: Asset,
    client: str,
    whence: str,
    to: str,
    shares: int,
    *,
    whither: str = "",
    basis: int = 0,
    of: str = "",
    at: int,
    by: str,
    ref: str = "",
    why: str = "",
) -> Entry:
    """SHARES:whence -shares | SHARES:to +shares of an investor, or of another (`whither`); and BASIS:of +basis of the first."""
    owner = investor(client)
    return _entry(
        at,
        EntryKind.BIND,
        by,
        ref,
        why,
        Posting(Account(owner, Role.SHARES, whence), share, -shares),
        Posting(Account(investor(whither) if whither else owner, Role.SHARES, to), share, shares),
        *_basis(owner, asset, basis, of or share.code),
    )


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


# -- residuals ----------------------------------------------------------------------------------------------------------


def suspend(core: str, asset: Asset, of: str, units: int, *, ref: str, at: int, by: str, why: str) -> Entry:
    """SUSPENSE:of +units | WORLD -units: the venue holds so much more than the books say (below zero: less)."""
    held = Account(core, Role.SUSPENSE, of)
    return _entry(at, EntryKind.ADJUST, by, ref, why, Posting(held, asset, units), Posting(WORLD, asset, -units))


def take_in(core: str, to: str, asset: Asset, of: str, units: int, from_reserve: int, *, ref: str, at: int, by: str, why: str) -> Entry:
    """SUSPENSE:of -units | IDLE +(units + from_reserve) | RESERVED -from_reserve: a core vault adopts a residual."""
    return _entry(
        at,
        EntryKind.ADJUST,
        by,
        ref,
        why,
        Posting(Account(core, Role.SUSPENSE, of), asset, -units),
        Posting(_idle(to), asset, units + from_reserve),
        Posting(Account(to, Role.RESERVED), asset, -from_reserve),
    )


def gain(
    core: str, sleeve: str, asset: Asset, of: str, units: int, *, ref: str, at: int, by: str, why: str, cause: str = "adopted"
) -> Entry:
    """SUSPENSE:of -units | WORLD +units | FREE +units | PNL:cause -units: a sleeve adopts a residual as its profit or loss."""
    return _entry(
        at,
        EntryKind.ADJUST,
        by,
        ref,
        why,
        Posting(Account(core, Role.SUSPENSE, of), asset, -units),
        Posting(WORLD, asset, units),
        Posting(_free(sleeve), asset, units),
        Posting(Account(sleeve, Role.PNL, cause), asset, -units),
    )


def cover(
    core: str,
    to: str,
    sleeve: str,
    asset: Asset,
    of: str,
    units: int,
    quote: Asset,
    value: int,
    market: str,
    *,
    ref: str,
    at: int,
    by: str,
    why: str,
) -> Entry:
    """SUSPENSE:of -units | WORLD +units | FREE +units | FEES:market -units, and in the vault's asset, as if the core had sold it:

    FREE -value | FEES:market +value | IDLE +value | WORLD -value. So a fee in a third coin becomes one in the vault's own.
    """
    fees = Account(sleeve, Role.FEES, market)
    return _entry(
        at,
        EntryKind.ADJUST,
        by,
        ref,
        why,
        Posting(Account(core, Role.SUSPENSE, of), asset, -units),
        Posting(WORLD, asset, units),
        Posting(_free(sleeve), asset, units),
        Posting(fees, asset, -units),
        Posting(_free(sleeve), quote, -value),
        Posting(fees, quote, value),
        Posting(_idle(to), quote, value),
        Posting(WORLD, quote, -value),
    )


def adopt_coins(
    core: str, sleeve: str, market: Instrument, of: str, units: int, cost: int, *, ref: str, at: int, by: str, why: str
) -> Entry:
    """SUSPENSE:of -units | WORLD +units | FREE base +units | TRADING base -units | TRADING quote +cost | PNL:adopted quote -cost.

    Coins that a sleeve has found, or lost (below zero), of what it trades; `cost` is what they were worth, or had cost.
    """
    trading = Account(sleeve, Role.TRADING, market.symbol)
    return _entry(
        at,
        EntryKind.ADJUST,
        by,
        ref,
        why,
        Posting(Account(core, Role.SUSPENSE, of), market.base, -units),
        Posting(WORLD, market.base, units),
        Posting(_free(sleeve), market.base, units),
        Posting(trading, market.base, -units),
        Posting(trading, market.quote, cost),
        Posting(Account(sleeve, Role.PNL, "adopted"), market.quote, -cost),
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
            if type(value) is not int or not 0 <= value < PPM:
                raise InvalidAmount(f"{name} allowance {value} ppm must lie between 0% and 100%")

    def worst(self, place: Place, ask: int) -> int | None:
        """The highest price that the hold of a buy covers; None for a sale."""
        if place.side is not Side.BUY:
            return None
        if place.limit is not None:
            return place.limit
        price, tick = ask if place.stop is None else place.stop, place.instrument.tick_units
        return max(1, price * (PPM + self.slippage_ppm) // (PPM * tick)) * tick

    def worst_contract(self, place: Place, book: Book, opening: int) -> int | None:
        """The worst price at which an order that opens contracts may fill; None for one that only closes some."""
        if not opening:
            return None
        if place.limit is not None:
            return place.limit
        market, buys = place.instrument, place.side is Side.BUY
        price = place.stop or (book.ask if buys else book.bid)
        return market.shift(price, self.slippage_ppm if buys else -self.slippage_ppm, Rounding.FLOOR if buys else Rounding.CEIL)

    def contract_units(self, place: Place, book: Book, opening: int) -> int:
        """What is set aside for an order of contracts, of which `opening` are new: their margin, and the fee on all.

        And what they lose at once when they fill at their worst price instead of the market's.

        Nothing for one that only closes: its fee is owed like a loss, and nothing must stand in the way of an exit.
        """
        market = place.instrument
        assert market.contract is not None
        if not opening:
            return 0
        price = max(place.limit or 0, market.shift(place.stop or max(book.ask, book.bid), self.slippage_ppm, Rounding.CEIL))
        if place.limit is not None and place.side is Side.BUY:
            price = place.limit
        cost = market.cost(price, place.qty, Rounding.CEIL)
        margin = divide(market.cost(price, opening, Rounding.CEIL) * market.contract.initial_bp, BP, Rounding.CEIL)
        worst = self.worst_contract(place, book, opening)
        here = place.stop or (book.ask if place.side is Side.BUY else book.bid)
        lost = 0 if worst is None else max(0, place.side.sign * (worst - here))
        slipped = market.cost(lost, opening, Rounding.CEIL)
        return margin + slipped + divide(cost * self.fee_ppm, PPM, Rounding.CEIL) + self.roundings(market)

    def units(self, place: Place, worst: int | None) -> tuple[Asset, int]:
        """What is set aside: the coins to sell, or the worst price and the fee of the coins to buy, rounded up.

        A venue rounds the cost and the fee of each partial fill up, so a ten-thousandth of a quote coin is added for
        roundings.
        """
        market = place.instrument
        if worst is None:
            return market.base, place.qty
        cost = -(-worst * place.qty * market._times // market._over)
        return market.quote, cost - (-cost * self.fee_ppm // PPM) + self.roundings(market)

    @staticmethod
    def roundings(market: Instrument) -> int:
        """What a hold has to spare for roundings, in quote units; at least two."""
        scale = market.quote.scale
        return 2 if scale <= 4 else _SPARE[scale]

    def affordable(self, market: Instrument, money: int, ask: int) -> int:
        """The most base units, in whole lots, that an order at market can be for with this money: of contracts, on margin."""
        money -= self.roundings(market) + 3
        if market.contract is None:
            dearest = max(1, ask * (PPM + self.slippage_ppm) // (PPM * market.tick_units)) * market.tick_units
            unit_cost = dearest * (PPM + self.fee_ppm) * market._times
            return 0 if money <= 0 else money * PPM * market._over // unit_cost // market.lot_units * market.lot_units
        part = market.contract.initial_bp * PPM // BP + self.fee_ppm + self.slippage_ppm
        return market.affordable(money, market.shift(ask, self.slippage_ppm, Rounding.CEIL), part - PPM)


# -- orders and fills of one sleeve ------------------------------------------------------------------------------------


_SPARE = [10 ** max(0, scale - 4) for scale in range(MAX_SCALE + 1)]


def hold(sleeve: str, order_id: str, asset: Asset, units: int, *, at: int, by: str) -> Entry:
    """FREE -units | HELD:order +units."""
    return hold_in(held_for(sleeve, order_id), asset, units, at=at, by=by)


def held_for(sleeve: str, order_id: str) -> Account:
    """Where an order's coins are held."""
    return _new(Account, (sleeve, _HELD, order_id))


def hold_in(held: Account, asset: Asset, units: int, *, at: int, by: str) -> Entry:
    """FREE -units | HELD:order +units, of an account that `held_for` gave."""
    postings = (_new(Posting, (_accounts_of(held[0])[0], asset, -units)), _new(Posting, (held, asset, units)))
    return _made(at, _HOLD, by, postings, held[2], "")


def release(sleeve: str, order_id: str, asset: Asset, units: int, *, at: int, by: str, why: str = "") -> Entry:
    """HELD:order -units | FREE +units."""
    postings = (_new(Posting, (held_for(sleeve, order_id), asset, -units)), _new(Posting, (_accounts_of(sleeve)[0], asset, units)))
    return _made(at, EntryKind.RELEASE, by, postings, order_id, why)


def released_cost(open_cost: int, position: int, qty: int) -> int:
    """The part of the open cost that leaves with `qty` of a position of this size, at average cost.

    A full close releases all of it. A partial one is rounded up, so that a gain is never shown before it is made. An
    open cost below zero is what a short position brought in.
    """
    size = abs(position)
    if qty >= size:
        return open_cost
    return divide(open_cost * qty, size, Rounding.CEIL)


def fill(sleeve: str, fill: Fill, *, held: int, position: int, open_cost: int, by: str, account: Account | None = None) -> Entry:
    """A trade of a spot instrument that has happened, as one entry of one sleeve.

    `held` is the part of the order's hold that this fill uses up: quote units on a buy, base units on a sell. What the
    trade cost beyond it comes from FREE; what it did not need goes back there. `position` and `open_cost` are the
    sleeve's in this instrument before the fill; both are below zero where facts told out of order have sold more than
    was owned, and a buy then closes that first.

    A fee in the base asset is booked in quote units at the fill's price, rounded up, and its coins leave the position
    unsold; a fee in a third asset is paid from the sleeve's own coins of it.
    """
    market = fill.instrument
    base, quote = market.base, market.quote
    free, trading, fees, pnl = _accounts(sleeve, market.symbol)
    hold = held_for(sleeve, fill.order_id) if account is None else account
    fee_asset, fee_units = fill.fee.asset, fill.fee.units
    fee_quote = fee_base = fee_value = 0
    third: tuple[Posting, ...] = ()
    if fee_asset is quote or fee_asset == quote:
        fee_quote = fee_value = fee_units
    elif fee_asset == base:
        fee_base, fee_value = fee_units, market.cost(fill.price, fee_units, Rounding.CEIL)
    elif fee_units:
        third = (Posting(free, fee_asset, -fee_units), Posting(fees, fee_asset, fee_units))
    unsold = fee_value - fee_quote
    if fill.side is Side.BUY:
        change, spent, cash = fill.qty - fee_base, fill.cost - unsold, held - fill.cost - fee_quote
        coins = [(free, base, change), (trading, base, -change), (hold, quote, -held)]
    else:
        change, spent, cash = -fill.qty - fee_base, -fill.cost - unsold, fill.cost - fee_quote
        coins = [(hold, base, -held), (free, base, held + change), (trading, base, -change)]
    cost, made = _cost_and_profit(position, open_cost, change, spent)
    coins += [(free, quote, cash), (trading, quote, cost), (pnl, quote, -made), (fees, quote, fee_value)]
    postings = tuple([_new(Posting, posting) for posting in coins if posting[2]])
    return _made(fill.at, _FILL, by, postings + third if third else postings, fill.key, "")


_new = tuple.__new__
"""Makes a `Posting` of a plain tuple without a call in Python: fills are where a run spends its time."""


_made = maker(Entry)
_HELD, _HOLD, _FILL = Role.HELD, EntryKind.HOLD, EntryKind.FILL


@lru_cache(maxsize=4096)
def _accounts_of(sleeve: str) -> tuple[Account]:
    """FREE of the sleeve: one object for all entries."""
    return (Account(sleeve, Role.FREE),)


@lru_cache(maxsize=4096)
def _accounts(sleeve: str, symbol: str) -> tuple[Account, Account, Account, Account]:
    """FREE of the sleeve, and its TRADING, FEES and PNL in one instrument."""
    return (
        _accounts_of(sleeve)[0],
        Account(sleeve, Role.TRADING, symbol),
        Account(sleeve, Role.FEES, symbol),
        Account(sleeve, Role.PNL, symbol),
    )


def _cost_and_profit(position: int, open_cost: int, change: int, spent: int) -> tuple[int, int]:
    """How the open cost changes and what profit is made when a position changes by `change` for `spent` (below zero: received).

    What goes the position's way adds to its cost; what goes against it closes at average cost; what is left over opens
    the other way. Every division is rounded up in cost, and so down in profit.
    """
    if change == 0:  # a fee in the base coin took all that was bought
        return (spent, 0) if position else (0, -spent)
    if position == 0 or (position > 0) is (change > 0):
        return spent, 0
    closing = min(abs(position), abs(change))
    released = released_cost(open_cost, position, closing)
    spent_closing = spent if closing == abs(change) else divide(spent * closing, abs(change), Rounding.CEIL)
    return spent - spent_closing - released, -released - spent_closing
