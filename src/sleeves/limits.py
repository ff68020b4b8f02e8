"""Limits that act: how much a sleeve or a vault may lose, fall or have at stake, watched whether or not anybody orders.

A gate refuses an order; a limit looks at what is there, once a minute of the desk's time, and does something about it:

    used 80%    an alert `limit_near`, level info
    used 90%    an alert `limit_near`, level warning
    used 100%   an alert `limit`, critical, and the target takes no new risk, or is killed and its positions are closed

A limit that was reached holds its target by a latch of its own (`status.HOLDS`): for the day, until a human lifts it, or
until what is at stake is less again. A price that is not known makes nothing of it: it is looked at again a minute later,
and the gates refuse orders meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

from attrs import define, field, frozen

from .blotter import Blotter
from .books import Books
from .errors import VaultError
from .market import DAY
from .money import PPM, Amount, AmountLike, Rounding, decimal_text, divide, ppm
from .orders import Command, Side
from .records import Alert, Level
from .seat import Seat
from .sleeve import Sleeve
from .standings import Standings
from .status import Hold, Status
from .stops import Stops
from .vault import CoreVault

__all__ = ["NEAR", "Limit", "Limits", "Measure", "Then"]

NEAR = (80, 90)
"""The parts of a limit, in percent, at which it is said that it is near."""
FORGOTTEN = 70
"""Below this part of a limit a warning counts as over: the next one is said again."""


class Measure(StrEnum):
    """What is limited."""

    DAILY_LOSS = "daily_loss"
    """What was lost since midnight UTC, open positions at their prices."""
    DRAWDOWN = "drawdown"
    """How far profit has fallen from its highest."""
    EXPOSURE = "exposure"
    """What all positions are worth, whichever way they are, with what open orders that take risk would add."""


class Then(StrEnum):
    """What follows when a limit is reached."""

    CLOSE_ONLY = "close_only"
    """No new risk; exits go on."""
    KILL = "kill"
    """Its engines are asked no more, orders are canceled and positions closed, what is at most risk first."""


def _measure(value: Measure | str) -> Measure:
    try:
        return Measure(value)
    except ValueError:
        raise VaultError(f"a limit is on {', '.join(Measure)}, not on {value!r}") from None


def _then(value: Then | str) -> Then:
    try:
        return Then(value)
    except ValueError:
        raise VaultError(f"what follows from a limit is {' or '.join(Then)}, not {value!r}") from None


@frozen
class Limit:
    """So much and no more: `Limit("daily_loss", "3%")`, `Limit("exposure", "5000", then="kill")`.

    A part is of what the core vault put in: for a drawdown of that and the highest profit. An amount is in coins of the
    vault's asset. Raises `VaultError` for a measure or a consequence that is none, and for a limit that is not positive;
    `InvalidAmount` for a number that is none.
    """

    measure: Measure = field(converter=_measure)
    most: AmountLike
    then: Then = field(default=Then.CLOSE_ONLY, converter=_then)

    def __attrs_post_init__(self) -> None:
        if self.part is not None and not 0 < self.part <= PPM:
            raise VaultError(f"a limit of {self.most!r} must be above 0% and at most 100%")

    @property
    def part(self) -> int | None:
        """The limit in parts per million of the capital; None where it is an amount."""
        return ppm(self.most, "limit") if isinstance(self.most, str) and self.most.strip().endswith("%") else None

    def check(self, vault: CoreVault) -> None:
        """Raise what is wrong with the amount in this vault's asset."""
        if self.part is None and vault.asset(self.most).units <= 0:
            raise VaultError(f"a limit of {vault.asset(self.most)} must be above zero")

    def units(self, vault: CoreVault, capital: int) -> int:
        """The limit in units of the vault's asset."""
        if self.part is None:
            return vault.asset(self.most).units
        return divide(max(0, capital) * self.part, PPM, Rounding.DOWN)

    def __str__(self) -> str:
        most = self.most.text if isinstance(self.most, Amount) else str(self.most)
        return f"{self.measure} of {most}"


@define
class _Watched:
    """What a limit must remember of a target: today, the profit at its start, and the highest."""

    day: int = -1
    start: int = 0
    peak: int = 0

    def note(self, pnl: int, at: int) -> None:
        if self.day < 0 or pnl > self.peak:
            self.peak = max(0, pnl)
        if at // DAY != self.day:
            self.day, self.start = at // DAY, pnl


class Limits:
    """The limits of one desk."""

    def __init__(
        self, vaults: Iterable[CoreVault], seats: Mapping[str, Seat], blotter: Blotter, stops: Stops, standings: Standings
    ) -> None:
        self._vaults = tuple(vaults)
        self._seats, self._blotter, self._stops, self._standings = seats, blotter, stops, standings
        self._books: Books = self._vaults[0].books
        self._of: dict[Sleeve | CoreVault, list[Limit]] = {}
        self._seen: dict[str, _Watched] = {}
        self._told: dict[tuple[str, Limit], int] = {}

    def __bool__(self) -> bool:
        return bool(self._of)

    def set(self, target: Sleeve | CoreVault, limits: Iterable[Limit]) -> None:
        """These limits, and no others, for a sleeve or a vault of this desk. Raises `VaultError` for what is none."""
        self._stops.sleeves(target)
        given = list(limits)
        vault = target.vault if isinstance(target, Sleeve) else target
        for one in given:
            if not isinstance(one, Limit):
                raise VaultError(f"limits are a list of Limit, not {one!r}")
            one.check(vault)
        if given:
            self._of[target] = given
            state = self._books.state
            name = _name(target)
            kept = None if state is None else (state.vaults[name] if name in state.vaults else state.sleeves[name]).watched
            self._seen[name] = _Watched() if kept is None else _Watched(*kept)
        else:
            self._of.pop(target, None)
            self._seen.pop(_name(target), None)

    def limits_of(self, target: Sleeve | CoreVault) -> tuple[Limit, ...]:
        return tuple(self._of.get(target, ()))

    def watched(self) -> dict[str, tuple[int, int, int]]:
        """What must be remembered over a restart, by name, as `records.Marked` keeps it."""
        return {name: (one.day, one.start, one.peak) for name, one in self._seen.items() if one.day >= 0}

    def used(self, target: Sleeve | CoreVault, limit: Limit, at: int) -> tuple[int, int] | None:
        """(what is used, the limit), in units of the vault's asset; None while a price is missing."""
        vault = target.vault if isinstance(target, Sleeve) else target
        sleeves = self._stops.sleeves(target)
        capital = sum(vault.books.ledger.net_flow(sleeve.name, sleeve.asset) for sleeve in sleeves)
        if limit.measure is Measure.EXPOSURE:
            stake = self._at_stake(sleeves)
            return None if stake is None else (stake, limit.units(vault, capital))
        pnl = self._pnl(sleeves)
        if pnl is None:
            return None
        seen = self._seen[_name(target)]
        seen.note(pnl, at)
        if limit.measure is Measure.DAILY_LOSS:
            return max(0, seen.start - pnl), limit.units(vault, capital)
        return max(0, seen.peak - pnl), limit.units(vault, capital + seen.peak)

    def _pnl(self, sleeves: Iterable[Sleeve]) -> int | None:
        total = 0
        for sleeve in sleeves:
            seat = self._seats.get(sleeve.name)
            if seat is None:
                if sleeve.positions():
                    return None
                total += sleeve.balance_units() - sleeve.vault.books.ledger.net_flow(sleeve.name, sleeve.asset)
                continue
            pnl = seat.view.pnl()
            if pnl is None:
                return None
            total += pnl
        return total

    def _at_stake(self, sleeves: Iterable[Sleeve]) -> int | None:
        total = 0
        for sleeve in sleeves:
            seat = self._seats.get(sleeve.name)
            for market, amount in sleeve.positions().items():
                book = None if seat is None else seat.view.book_of(market)
                if book is None:
                    return None
                total += market.cost(book.mid, abs(amount.units), Rounding.CEIL)
            for order in () if seat is None else seat.open_orders.values():
                working = self._blotter.get(order.id)
                place = order.place
                if working is None or working.closes or (place.instrument.contract is None and place.side is Side.SELL):
                    continue
                assert seat is not None
                book = seat.view.book_of(place.instrument)
                price = place.limit or place.stop or (0 if book is None else book.ask)
                if not price:
                    return None
                total += place.instrument.cost(price, working.left, Rounding.CEIL)
        return total

    def look(self, at: int) -> list[Command]:
        """Look at every limit, say which are near, act on those that are reached, and lift what is over."""
        commands: list[Command] = []
        for target, limits in self._of.items():
            for limit in limits:
                found = self.used(target, limit, at)
                if found is not None:
                    commands += self._act(target, limit, *found, at)
        self._lift(at)
        return commands

    def _act(self, target: Sleeve | CoreVault, limit: Limit, used: int, most: int, at: int) -> list[Command]:
        name, cause = _name(target), Hold(limit.measure)
        percent = 100 if used >= most and (used or not most) else divide(used * 100, most, Rounding.DOWN)
        tier = sum(percent >= part for part in (*NEAR, 100))
        told = self._told.get((name, limit), 0)
        if tier <= told:
            if percent < FORGOTTEN:
                self._told.pop((name, limit), None)
            return []
        self._told[name, limit] = tier
        asset = (target.vault if isinstance(target, Sleeve) else target).asset
        text = f"{limit}: {decimal_text(used, asset.scale)} of {decimal_text(most, asset.scale)} {asset} used, {percent}%"
        if tier <= len(NEAR):
            self._books.record(Alert(at, Level.INFO if tier < len(NEAR) else Level.WARNING, name, "limit_near", text))
            return []
        if target.own_status in (Status.HALTED, Status.DEACTIVATED) or cause in target.latches:
            return []
        self._books.record(Alert(at, Level.CRITICAL, name, "limit", f"{text}: {limit.then}"))
        if limit.then is Then.KILL:
            return self._stops.kill(target, flatten=True, by="limit", why=text, at=at)
        until = at - at % DAY + DAY if cause is Hold.DAILY_LOSS else None
        return self._stops.latch(target, cause, by="limit", why=text, at=at, until=until)

    def _lift(self, at: int) -> None:
        """What the desk may lift by now and is over: a new day, less at stake."""
        for one, latch in self._standings.over(at):
            assert isinstance(one, (Sleeve, CoreVault))
            mine = [limit for limit in self._of.get(one, ()) if limit.measure == latch.cause.value]
            found = [self.used(one, limit, at) for limit in mine]
            if all(two is not None and two[0] < two[1] for two in found):
                one.lift(latch.cause, by="limit", human=False, why="it is over", at=at)
                for limit in mine:
                    self._told.pop((_name(one), limit), None)
                self._books.record(Alert(at, Level.INFO, _name(one), "limit_lifted", f"{latch.cause}: new risk may be taken again"))


def _name(target: Sleeve | CoreVault) -> str:
    return target.name if isinstance(target, Sleeve) else target.owner
