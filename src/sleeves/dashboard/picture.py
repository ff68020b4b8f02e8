"""A desk as plain rows: the one place where the dashboard reads a desk, and it reads only what is public of it.

    tables(desk)["sleeves"]["flash"].equity         "5123.45", or None while it is not known

Everything is exact text, nothing is guessed: a price that was never seen makes null of all that depends on it. Nothing here
changes anything, asks a venue, or waits.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from ..desk import Desk
from ..gates import describe
from ..margin import Check, MarginAccount, collateral, free_collateral, health_bp, leverage_bp, liquidation_tick, requirement
from ..market import DAY, SECOND, FundingRate, Instrument, Mark, Quote
from ..money import Amount, Rounding, decimal_text, divide
from ..orders import Bundle
from ..pulse import Pulse
from ..sleeve import Sleeve
from ..standings import DESK
from ..vault import CoreVault, SubAccount
from .history import History, PastOrder, millis
from .messages import (
    AccountRow,
    BookRow,
    ConfirmationRow,
    Depth,
    DeskRow,
    FundingRow,
    HoldingRow,
    MarketRow,
    OrderRow,
    OwnOrder,
    PositionRow,
    Row,
    SleeveRow,
    VaultRow,
)

__all__ = ["LookAtDepth", "Tables", "laws_of", "tables"]

log = logging.getLogger("sleeves.dashboard")
log.addHandler(logging.NullHandler())

WISHES = 6
"""How many of the wishes that an engine had at once are shown in words."""

Tables = dict[str, dict[str, Row]]
"""Rows by key, by the name of their table."""

LookAtDepth = Callable[[Instrument], tuple[Sequence[tuple[str, str]], Sequence[tuple[str, str]]] | None]
"""What knows more of a market than its best prices: bids and asks as (price, quantity) in text, the best first; None for nothing."""


def laws_of(desk: Desk) -> str:
    """ "hold", or which laws of the books are broken, and how. It looks at all accounts: not for every price."""
    proof = desk.check()
    return "hold" if proof.holds else str(proof)


def tables(
    desk: Desk,
    *,
    pulse: Pulse | None = None,
    venues: Iterable[Any] = (),
    past: History | None = None,
    laws: str = "",
    depth: LookAtDepth | None = None,
) -> Tables:
    """All tables of a desk as it stands now.

    `pulse` says how its run is, `venues` are those that it runs on, `past` what its journal tells (read here where it is not given:
    that looks at every record), `laws` what `laws_of` said last.
    """
    past = History().read(desk.books.journal) if past is None else past
    reader = _Reader(desk, pulse or Pulse(most_silence=None), tuple(venues), past, depth)
    return {
        "desk": {DESK: reader.desk_row(laws)},
        "vaults": {vault.owner: reader.vault(vault) for vault in reader.vaults},
        "sleeves": {sleeve.name: reader.sleeve(sleeve) for sleeve in reader.sleeves},
        "holdings": reader.holdings(),
        "positions": dict(reader.positions()),
        "accounts": {key: reader.account(vault, number, found) for key, vault, number, found in reader.accounts},
        "markets": {symbol: reader.market(market) for symbol, market in desk.books.instruments.items()},
        "funding": reader.funding(),
        "orders": {name: reader.order(one) for name, one in past.orders.items()},
        "books": dict(reader.books()),
        "confirmations": reader.confirmations(),
    }


class _Reader:
    """One look at a desk: what several tables need is read once."""

    def __init__(self, desk: Desk, pulse: Pulse, venues: tuple[Any, ...], past: History, depth: LookAtDepth | None) -> None:
        self.desk, self.pulse, self.venues, self.past, self.depth = desk, pulse, venues, past, depth
        self.vaults = desk.treasury.vaults
        self.sleeves: list[Sleeve] = [sleeve for vault in self.vaults for sleeve in vault.sleeves.values()]
        self.quotes: Mapping[str, Quote] = desk.quotes()
        self.marks: Mapping[str, Mark] = desk.marks()
        self.engines = desk.engines
        self.accounts = list(self._accounts())

    def _accounts(self) -> Iterable[tuple[str, CoreVault, int, MarginAccount | None]]:
        """The accounts that contracts are in, or are ordered in."""
        ordered = {order.sleeve for order in self.desk.open_orders() if order.place.instrument.contract is not None}
        for vault in self.vaults:
            inside = [sleeve for sleeve in vault.sleeves.values() if sleeve.name in ordered or sleeve.contracts()]
            for number in sorted({sleeve.account or 0 for sleeve in inside}):
                yield f"{vault.owner}:{number}" if number else vault.owner, vault, number, self.desk.account(vault, number)

    # -- the desk and who is in it -----------------------------------------------------------------------------------

    def desk_row(self, laws: str) -> DeskRow:
        desk, health = self.desk, self.pulse.snapshot(self.desk)
        real = [bool(getattr(venue, "real_money", True)) for venue in self.venues]
        return DeskRow(
            status=str(desk.status),
            ok=health.ok,
            why=health.why,
            latches=tuple(map(str, desk.latches(desk))),
            recovering=desk.recovering,
            records=len(desk.books.journal),
            waiting=health.waiting,
            in_doubt=health.in_doubt,
            not_armed=tuple(desk.not_armed),
            residuals=health.residuals,
            engines=len(self.engines),
            running=None if self.pulse.runs is None else self.pulse.runs > 0,
            real_money=any(real) if real else None,
            laws=laws,
            time_ms=millis(desk.books.now),
        )

    def vault(self, vault: CoreVault) -> VaultRow:
        sleeves = vault.sleeves.values()
        zero = vault.asset.zero
        return VaultRow(
            asset=vault.asset.code,
            wallet=vault.wallet,
            status=str(vault.status),
            latches=tuple(map(str, vault.latches)),
            total=vault.total.text,
            tradeable=vault.tradeable.text,
            allocated=vault.allocated.text,
            remaining=vault.remaining.text,
            idle=vault.idle.text,
            reserve=vault.reserve.text,
            in_transit=vault.in_transit.text,
            suspense=vault.suspense.text,
            returned=sum((sleeve.returned for sleeve in sleeves), zero).text,
            in_sleeves=sum((sleeve.balance for sleeve in sleeves), zero).text,
        )

    def sleeve(self, sleeve: Sleeve) -> SleeveRow:
        seat = self.engines.get(sleeve.name)
        balance, realized, fees, funding = sleeve.balance, sleeve.realized, sleeve.fees, sleeve.funding
        unrealized = sleeve.unrealized(self.marks)
        wished, wished_at, refused, refused_at = "", 0, "", 0
        if seat is not None:
            seen = self.desk.telemetry(sleeve)
            more = len(seen.wanted) - WISHES
            wished = ", ".join(seen.wanted[:WISHES]) + (f" and {more} more" if more > 0 else "")
            wished_at = seen.wanted_at
            if seen.refused is not None:
                refused, refused_at = str(seen.refused), seen.refused.at
        track = self.past.sleeves.get(sleeve.name)
        equity = None if unrealized is None else balance + unrealized
        made = fell = None
        if track is not None and self.past.marked and track.periods > 0:
            index, fall = track.until(None if equity is None else equity.units)
            made, fell = _percent(index - 1), _percent(fall)
        return SleeveRow(
            vault=sleeve.vault.owner,
            asset=sleeve.asset.code,
            engine="" if seat is None else seat.engine,
            policy=sleeve.policy.name,
            backing="" if seat is None else _backing(seat.backing),
            account=sleeve.account,
            status=str(sleeve.status),
            latches=tuple(map(str, sleeve.latches)),
            allocation=sleeve.allocation.text,
            pending=sleeve.pending.text,
            between=sleeve.between.text,
            available=sleeve.free.text,
            held=sleeve.held.text,
            margin=sleeve.margin.text,
            deployed=sleeve.deployed.text,
            balance=balance.text,
            equity=_text(equity),
            realized=realized.text,
            unrealized=_text(unrealized),
            fees=fees.text,
            funding=funding.text,
            returned=sleeve.returned.text,
            net=_text(None if unrealized is None else realized + unrealized - fees + funding),
            idle_reason="" if seat is None else seat.idle_reason,
            wished=wished,
            wished_ms=millis(wished_at) if wished_at else None,
            refused=refused,
            refused_ms=millis(refused_at) if refused_at else None,
            return_pct=made,
            drawdown_pct=fell,
        )

    # -- what is held ------------------------------------------------------------------------------------------------

    def holdings(self) -> dict[str, Row]:
        found: dict[str, Row] = {}
        stock = self.desk.inventory()
        for h in stock.holdings:
            unit = h.vault.rpartition(":")[2]
            won = h.place.startswith("unrealized ")
            priced = h.age_ns is not None and (won or h.amount.asset.code != unit)
            found[f"{h.sleeve or h.vault}|{h.place}|{h.amount.asset.code}"] = HoldingRow(
                vault=h.vault,
                sleeve=h.sleeve,
                engine=h.engine,
                place=h.place,
                asset=h.amount.asset.code,
                amount=None if won and h.value is None else h.amount.text,
                value=_text(h.value),
                valued_in=unit,
                mark_ms=millis(stock.at - h.age_ns) if priced and h.age_ns is not None else None,
                deployed=h.deployed,
            )
        return found

    def positions(self) -> Iterable[tuple[str, Row]]:
        joints = {(vault.owner, number): account for _, vault, number, account in self.accounts}
        liquidated: dict[tuple[str, int, str], str | None] = {}
        for sleeve in self.sleeves:
            for market, amount in sleeve.positions().items():
                part, mark, contract = sleeve.slice(market), self.marks.get(market.symbol), market.contract is not None
                where = sleeve.vault.owner, sleeve.account or 0, market.symbol
                if contract and where not in liquidated:
                    liquidated[where] = _liquidation(joints.get(where[:2]), market)
                value = None if mark is None else market.notional(mark.price, amount.units, Rounding.FLOOR)
                yield (
                    f"{sleeve.name}|{market.symbol}",
                    PositionRow(
                        sleeve=sleeve.name,
                        vault=sleeve.vault.owner,
                        market=market.symbol,
                        venue=market.venue,
                        kind="contract" if contract else "coins",
                        side="long" if amount.units > 0 else "short",
                        size=abs(amount).text,
                        base=market.base.code,
                        quote=market.quote.code,
                        entry=None if part.entry is None else _rounded(part.entry, market.price_scale + 2),
                        mark=None if mark is None else market.price_text(mark.price),
                        mark_ms=None if mark is None else millis(mark.at),
                        value=_text(value),
                        unrealized=_text(None if mark is None else part.unrealized(mark)),
                        liquidation=liquidated[where] if contract else None,
                        margin=part.margin.text if contract else None,
                        funding=part.funding.text,
                    ),
                )

    def account(self, vault: CoreVault, number: int, account: MarginAccount | None) -> AccountRow:
        if account is None:
            return AccountRow(vault.owner, number, vault.asset.code, None, None, None, None, None, None)
        leverage = leverage_bp(account)

        def text(units: int) -> str:
            return Amount(units, vault.asset).text

        return AccountRow(
            vault=vault.owner,
            account=number,
            asset=vault.asset.code,
            health=decimal_text(health_bp(account), 2),
            leverage=None if leverage is None else decimal_text(leverage, 4),
            total_collateral=text(collateral(account, Check.MAINTENANCE)),
            free_collateral=text(free_collateral(account, Check.INITIAL)),
            maintenance=text(requirement(account, Check.MAINTENANCE)),
            initial=text(requirement(account, Check.INITIAL)),
        )

    # -- markets -----------------------------------------------------------------------------------------------------

    def market(self, market: Instrument) -> MarketRow:
        quote, mark = self.quotes.get(market.symbol), self.marks.get(market.symbol)
        before = None if mark is None else self.past.price_before(market.symbol, mark.at)
        change = None
        if mark is not None and before:
            change = decimal_text(divide((mark.price - before) * 1_000_000, before, Rounding.HALF_EVEN), 4)
        return MarketRow(
            venue=market.venue,
            kind="spot" if market.contract is None else "perp",
            base=market.base.code,
            quote=market.quote.code,
            bid=None if quote is None else market.price_text(quote.bid),
            ask=None if quote is None else market.price_text(quote.ask),
            mark=None if mark is None else market.price_text(mark.price),
            mark_ms=None if mark is None else millis(mark.at),
            tick=market.tick,
            lot=market.lot,
            change_pct=change,
        )

    def funding(self) -> dict[str, Row]:
        """The later of what was told and what was paid, of each perpetual."""
        found: dict[str, Row] = {}
        told = self.desk.latest(FundingRate)
        for symbol in dict.fromkeys([*told, *self.past.paid]):
            known = [one for one in (told.get(symbol), self.past.paid.get(symbol)) if one is not None]
            found[symbol] = _funding_row(max(known, key=lambda one: one.at))
        return found

    # -- orders ------------------------------------------------------------------------------------------------------

    def order(self, one: PastOrder) -> OrderRow:
        if one.row is None:
            one.row = self._order_row(one)
        return one.row

    def _order_row(self, one: PastOrder) -> OrderRow:
        place, market = one.order.place, one.order.place.instrument
        kind = ("stop limit" if place.limit else "stop") if place.stop else "limit" if place.limit else "market"
        return OrderRow(
            sleeve=one.order.sleeve,
            market=market.symbol,
            side=place.side.value,
            qty=market.qty_text(place.qty),
            filled=market.qty_text(one.filled),
            base=market.base.code,
            limit=None if place.limit is None else market.price_text(place.limit),
            stop=None if place.stop is None else market.price_text(place.stop),
            kind=kind,  # type: ignore[arg-type]
            status=one.status.value,
            reason=one.reason,
            by=one.by,
            at_ms=millis(one.order.at),
            closes=one.closes,
            bundle=one.bundle,
            average=_average(one, market),
        )

    def books(self) -> Iterable[tuple[str, Row]]:
        for (name, symbol), _ in self.past.resting.items():
            market, quote = self.desk.books.instruments[symbol], self.quotes.get(symbol)
            resting = [
                one
                for one in self.past.orders.values()
                if one.order.sleeve == name
                and one.order.place.instrument.symbol == symbol
                and one.order.place.limit is not None
                and not one.status.done
            ]
            own = tuple(
                OwnOrder(
                    one.order.place.side.value,
                    market.price_text(one.order.place.limit or 0),
                    market.qty_text(one.order.place.qty),
                    market.qty_text(max(0, one.order.place.qty - one.filled)),
                    one.order.id,
                )
                for one in sorted(resting, key=lambda one: (-(one.order.place.limit or 0), one.order.id))
            )
            yield (
                f"{name}|{symbol}",
                BookRow(
                    sleeve=name,
                    market=symbol,
                    bid=None if quote is None else market.price_text(quote.bid),
                    ask=None if quote is None else market.price_text(quote.ask),
                    own=own,
                    depth=self._depth(market),
                ),
            )

    def _depth(self, market: Instrument) -> Depth | None:
        """What is known of a market beyond its best prices; nothing where whoever knows it fails: a page goes on without."""
        if self.depth is None:
            return None
        try:
            seen = self.depth(market)
            if seen is None:
                return None
            bids, asks = (tuple((_decimal(price), _decimal(qty)) for price, qty in half) for half in seen)
        except Exception as error:
            log.warning("no depth of %s: %s: %s", market, type(error).__name__, error)
            return None
        return Depth(bids, asks)

    def confirmations(self) -> dict[str, Row]:
        found: dict[str, Row] = {}
        for one in self.desk.confirmations:
            legs = one.wish.legs if isinstance(one.wish, Bundle) else (one.wish,)
            words = " then ".join(map(describe, legs))
            found[one.id] = ConfirmationRow(one.sleeve, words, millis(one.at), millis(one.expires), one.by, str(one.worth))
        return found


def _decimal(number: object) -> str:
    """A plain decimal number as text. Raises `ValueError` for what is none."""
    found = Decimal(str(number))
    if not found.is_finite():
        raise ValueError(f"{number!r} is no price or quantity")
    return f"{found:f}"


def _text(amount: Amount | None) -> str | None:
    return None if amount is None else amount.text


def _backing(backing: object) -> str:
    return f"sub-account {backing.number} of {backing.venue}" if isinstance(backing, SubAccount) else "virtual"


def _percent(part: float) -> str:
    """A ratio that was measured in floats, in percent with four places."""
    return _rounded(Decimal(part) * 100, 4)


def _rounded(value: Decimal, places: int) -> str:
    """A ratio as plain text of so many places, half-even."""
    numerator, denominator = value.as_integer_ratio()
    return decimal_text(divide(numerator * 10**places, denominator, Rounding.HALF_EVEN), places)


def _average(one: PastOrder, market: Instrument) -> str | None:
    """The average price of what is filled, worked out from the exact money that changed hands."""
    if not one.filled:
        return None
    times, over = market.ratio
    places = market.price_scale + 2
    return decimal_text(divide(one.cost * over * 100, one.filled * times, Rounding.HALF_EVEN), places)


def _liquidation(account: MarginAccount | None, market: Instrument) -> str | None:
    if account is None or not any(one.symbol == market.symbol and one.base for one in account.contracts):
        return None
    tick = liquidation_tick(account, market.symbol, market.tick_units)
    return None if tick is None else market.price_text(tick)


def _funding_row(rate: FundingRate) -> FundingRow:
    market = rate.instrument
    direction = "longs pay shorts" if rate.rate_ppb > 0 else "shorts pay longs" if rate.rate_ppb < 0 else "nobody pays"
    return FundingRow(
        market=market.symbol,
        rate=decimal_text(rate.rate_ppb, 7),
        every_s=rate.every // SECOND,
        apr=decimal_text(divide(rate.rate_ppb * 365 * DAY, rate.every, Rounding.HALF_EVEN), 7),
        direction=direction,  # type: ignore[arg-type]
        open_interest=None,
        at_ms=millis(rate.at),
        price=market.price_text(rate.price),
        basis=rate.basis.value,
    )
