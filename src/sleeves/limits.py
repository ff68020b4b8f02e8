"""Limits that act: how much a sleeve or a vault may lose, fall or have at stake, watched whether or not anybody orders.

A gate refuses an order; a limit looks at what is there, once a minute of the desk's time, and does something about it:

    used 80%    an alert `limit_near`, level info
    used 90%    an alert `limit_near`, level warning
    used 100%   an alert `limit`, critical, and the target takes no new risk, or is killed and its positions are closed

A limit that was reached holds its target by a latch of its own (`status.HOLDS`): for the day, until a human lifts it, or
until what is at stake is less again. Each limit acts by itself: one that kills does so behind a latch of another. Once a
human has lifted or revived, a limit acts again when a tenth of it more is used than then, or when it was over and is
reached anew. What was said and answered is not kept over a restart: a limit that is reached then, with nothing that
holds its target for it, acts.

A price that is not known stops no exit and no other market's orders. What is at stake without it is counted as nothing,
which is too little and never too much; a loss is not told. After `BLIND` of that an alert `limit_blind` says so, and what
has no price is counted at what it cost. At stake that is an estimate, and so is a loss or a drawdown: it counts what
has prices, and takes the rest for neither won nor lost, so that profit of today, or of the highest, which is only known
by the missing price, looks lost. The highest is never raised by such an estimate, and nothing is lifted by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

from attrs import define, field, frozen

from .blotter import Blotter
from .books import Books
from .errors import VaultError
from .market import DAY, MINUTE, Book, Instrument
from .money import PPM, Amount, AmountLike, Rounding, decimal_text, divide, ppm
from .orders import CancelOrder, Command, Place, Side
from .records import Alert, Level
from .seat import Seat
from .sleeve import Sleeve
from .standings import Standings
from .status import Hold, Latch, Status
from .stops import Stops
from .vault import CoreVault

__all__ = ["BLIND", "NEAR", "Limit", "Limits", "Measure", "Then"]

NEAR = (80, 90)
"""The parts of a limit, in percent, at which it is said that it is near."""
FORGOTTEN = 70
"""Below this part of a limit a warning counts as over: the next one is said again."""
AGAIN = 10
"""One part in so many of a limit must be used beyond what a human answered before it acts again."""
BLIND = 5 * MINUTE
"""For so long a price may be missing before it is said, and what needs it is counted at cost."""


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

    A part is of what the core vault put in, whatever was swept since: for a drawdown of that and the highest profit. Where
    nothing is allocated a part is of nothing, and is not looked at. An amount is in coins of the
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

    def note(self, pnl: int, at: int, *, exact: bool = True) -> None:
        if exact and pnl > self.peak:
            self.peak = pnl
        if at // DAY != self.day:
            self.day, self.start = at // DAY, pnl


@frozen
class _Told:
    """What was said of a limit: how near it is, 3 once it has acted; what was used at the last look, and when a human answered."""

    tier: int = 0
    used: int = 0
    answered: int | None = None


@frozen
class _Found:
    """What is used of a limit, in units of the vault's asset, and whether prices were missing."""

    used: int
    most: int
    exact: bool = True

    @property
    def percent(self) -> int:
        if not self.used:
            return 0
        return 100 if self.used >= self.most else divide(self.used * 100, self.most, Rounding.DOWN)


_REACHED = len(NEAR) + 1


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
        self._told: dict[tuple[str, Limit], _Told] = {}
        self._blind: dict[str, tuple[int, bool]] = {}
        """Since when a price is missing, by target, and whether that was said."""

    def __bool__(self) -> bool:
        return bool(self._of)

    def set(self, target: Sleeve | CoreVault, limits: Iterable[Limit]) -> None:
        """These limits, and no others, for a sleeve or a vault of this desk. Raises `VaultError` for what is none.

        What is remembered of the target stays, and what was said of limits that stay; a limit that is new acts anew.
        """
        self._stops.sleeves(target)
        given = list(limits)
        vault = target.vault if isinstance(target, Sleeve) else target
        for one in given:
            if not isinstance(one, Limit):
                raise VaultError(f"limits are a list of Limit, not {one!r}")
            one.check(vault)
        name = _name(target)
        for key in [key for key in self._told if key[0] == name and key[1] not in given]:
            del self._told[key]
        if not given:
            self._of.pop(target, None)
            self._blind.pop(name, None)
            return
        self._of[target] = given
        if name not in self._seen:
            state = self._books.state
            kept = None if state is None else (state.vaults[name] if name in state.vaults else state.sleeves[name]).watched
            self._seen[name] = _Watched() if kept is None else _Watched(*kept)

    def limits_of(self, target: Sleeve | CoreVault) -> tuple[Limit, ...]:
        return tuple(self._of.get(target, ()))

    def watched(self) -> dict[str, tuple[int, int, int]]:
        """What must be remembered over a restart, by name, as `records.Marked` keeps it."""
        return {name: (one.day, one.start, one.peak) for name, one in self._seen.items() if one.day >= 0}

    def used(self, target: Sleeve | CoreVault, limit: Limit, at: int) -> tuple[int, int] | None:
        """(what is used, the limit), in units of the vault's asset; None while a price is missing, and for a part of nothing."""
        found = self._found(target, limit, at, at_cost=False)
        return (found.used, found.most) if found is not None and found.exact else None

    def _found(self, target: Sleeve | CoreVault, limit: Limit, at: int, *, at_cost: bool) -> _Found | None:
        """What is used; None where it cannot be told. With `at_cost`, what has no price counts at what it cost."""
        vault = target.vault if isinstance(target, Sleeve) else target
        sleeves = self._stops.sleeves(target)
        capital = self._capital(sleeves)
        if limit.part is not None and not capital:
            return None
        if limit.measure is Measure.EXPOSURE:
            exact = not self._missing(sleeves, orders=True)
            return _Found(self._at_stake(sleeves, at_cost=at_cost), limit.units(vault, capital), exact)
        exact = not self._missing(sleeves)
        if not exact and not at_cost:
            return None
        pnl = sum(map(self._pnl, sleeves))
        seen = self._seen[_name(target)]
        seen.note(pnl, at, exact=exact)
        if limit.measure is Measure.DAILY_LOSS:
            return _Found(max(0, seen.start - pnl), limit.units(vault, capital), exact)
        return _Found(max(0, seen.peak - pnl), limit.units(vault, capital + seen.peak), exact)

    def _capital(self, sleeves: Iterable[Sleeve]) -> int:
        """What a limit in percent is a part of: what came in net, and not less than what is allocated; profit that left is no loss."""
        return max(0, sum(max(self._books.ledger.net_flow(one.name, one.asset), one.allocation_units()) for one in sleeves))

    def _book(self, market: Instrument) -> Book | None:
        """Its prices, which all seats see alike."""
        seat = next(iter(self._seats.values()), None)
        return None if seat is None else seat.view.book_of(market)

    def _missing(self, sleeves: Iterable[Sleeve], *, orders: bool = False) -> list[str]:
        """The markets whose prices are missing: of positions, and of open orders that take risk, but for buys that name their most."""
        markets = {market for sleeve in sleeves for market in sleeve.positions()}
        if orders:
            opening = [place for sleeve in sleeves for place, _ in self._opening(sleeve)]
            markets |= {place.instrument for place in opening if place.side is Side.SELL or place.limit is None}
        return sorted(market.symbol for market in markets if self._book(market) is None)

    def _opening(self, sleeve: Sleeve) -> list[tuple[Place, int]]:
        """The open orders of a sleeve that take new risk, and how much of each is left in base units."""
        seat = self._seats.get(sleeve.name)
        found = []
        for order in () if seat is None else seat.open_orders.values():
            working, place = self._blotter.get(order.id), order.place
            if working is not None and not working.closes and (place.instrument.contract is not None or place.side is Side.BUY):
                found.append((place, working.left))
        return found

    def _pnl(self, sleeve: Sleeve) -> int:
        """What a sleeve has made, with open positions at their prices, or at cost where there is none."""
        seat = self._seats.get(sleeve.name)
        pnl = None if seat is None else seat.view.pnl()
        if pnl is not None:
            return pnl
        pnl = sleeve.balance_units() - self._books.ledger.net_flow(sleeve.name, sleeve.asset)
        for market, amount in sleeve.positions().items():
            book = self._book(market)
            if book is not None:
                pnl += market.cost(book.mid, amount.units, Rounding.FLOOR) - sleeve.open_cost_units(market)
        return pnl

    def _at_stake(self, sleeves: Iterable[Sleeve], *, at_cost: bool) -> int:
        total = 0
        for sleeve in sleeves:
            for market, amount in sleeve.positions().items():
                book = self._book(market)
                if book is not None:
                    total += market.cost(book.mid, abs(amount.units), Rounding.CEIL)
                elif at_cost:
                    total += abs(sleeve.open_cost_units(market))
            for place, left in self._opening(sleeve):
                total += place.instrument.cost(_price(place, self._book(place.instrument)), left, Rounding.CEIL)
        return total

    def look(self, at: int) -> list[Command]:
        """Look at every limit, say which are near, act on those that are reached, and lift what is over."""
        commands: list[Command] = []
        for target, limits in self._of.items():
            if target.own_status is Status.DEACTIVATED:
                continue
            at_cost = self._look_blind(target, at)
            for limit in limits:
                found = self._found(target, limit, at, at_cost=at_cost)
                if found is not None:
                    commands += self._act(target, limit, found, at)
        self._lift(at)
        canceled: set[str] = set()
        kept: list[Command] = []
        for command in commands:  # two limits that are reached at once cancel the same orders
            if isinstance(command, CancelOrder):
                if command.order.id in canceled:
                    continue
                canceled.add(command.order.id)
            kept.append(command)
        return kept

    def _look_blind(self, target: Sleeve | CoreVault, at: int) -> bool:
        """Whether a price has been missing for too long. It is said once, until all are seen again."""
        name = _name(target)
        missing = self._missing(self._stops.sleeves(target), orders=True)
        if not missing:
            self._blind.pop(name, None)
            return False
        since, said = self._blind.setdefault(name, (at, False))
        if at - since <= BLIND:
            return False
        if not said:
            self._blind[name] = since, True
            text = f"no price of {', '.join(missing)}: its limits count what that is at cost, and may act late or too early"
            self._books.record(Alert(at, Level.WARNING, name, "limit_blind", text))
        return True

    def _act(self, target: Sleeve | CoreVault, limit: Limit, found: _Found, at: int) -> list[Command]:
        name, cause = _name(target), Hold(limit.measure)
        percent, used, most = found.percent, found.used, found.most
        told = self._told.get((name, limit), _Told())
        latch = target.latches.get(cause)
        held = target.own_status is Status.HALTED if limit.then is Then.KILL else latch is not None
        if told.tier == _REACHED:
            if held:
                self._told[name, limit] = _Told(_REACHED, used)
                return []
            told = _Told(_REACHED - 1, used, told.used)  # the desk forgets what it lifts itself: a human did this
        if percent < FORGOTTEN and found.exact:
            self._told.pop((name, limit), None)
            return []
        tier = sum(percent >= part for part in (*NEAR, 100))
        if tier == _REACHED and told.answered is not None and (used - told.answered) * AGAIN < most:
            tier = told.tier
        estimated = limit.then is Then.KILL and not found.exact and limit.measure is not Measure.EXPOSURE
        if tier <= told.tier or (estimated and tier == _REACHED and latch is not None):
            self._told[name, limit] = told
            return []
        self._told[name, limit] = _Told(tier, used, told.answered)
        asset = (target.vault if isinstance(target, Sleeve) else target).asset
        text = f"{limit}: {decimal_text(used, asset.scale)} of {decimal_text(most, asset.scale)} {asset} used, {percent}%"
        if not found.exact:
            text += ", as far as prices are known"
        if tier < _REACHED:
            self._books.record(Alert(at, Level.INFO if tier < len(NEAR) else Level.WARNING, name, "limit_near", text))
            return []
        if held and latch is not None and latch.by == "limit" and latch.why.startswith(f"{limit}: "):
            return []  # it was this limit that latched, before a restart
        self._books.record(Alert(at, Level.CRITICAL, name, "limit", f"{text}: {limit.then}{' already' if held else ''}"))
        if held:
            return []
        if estimated:  # nothing is sold for what may only look lost: it waits for the price
            self._told[name, limit] = _Told(_REACHED - 1, used, told.answered)
        elif limit.then is Then.KILL:
            return self._stops.kill(target, flatten=True, by="limit", why=text, at=at)
        until = at - at % DAY + DAY if cause is Hold.DAILY_LOSS else None
        cancels = self._stops.latch(target, cause, by="limit", why=text, at=at, until=until)
        return [] if target.own_status is Status.HALTED else cancels  # the kill has canceled them

    def _lift(self, at: int) -> None:
        """What the desk may lift by now and is over: a new day, less at stake.

        Without a limit of its cause only a day is over by itself. What holds the desk or a venue is left to a human.
        """
        for one, latch in self._standings.over(at):
            if isinstance(one, (Sleeve, CoreVault)) and self._is_over(one, latch, at):
                one.lift(latch.cause, by="limit", human=False, why="it is over", at=at)
                for limit in self._of.get(one, ()):
                    if limit.measure == latch.cause.value and limit.then is Then.CLOSE_ONLY:
                        self._told.pop((_name(one), limit), None)
                self._books.record(Alert(at, Level.INFO, _name(one), "limit_lifted", f"{latch.cause}: new risk may be taken again"))

    def _is_over(self, target: Sleeve | CoreVault, latch: Latch, at: int) -> bool:
        whole = self._capital(self._stops.sleeves(target))
        mine = [one for one in self._of.get(target, ()) if one.measure == latch.cause.value and (one.part is None or whole)]
        if not mine:
            return latch.cause is Hold.DAILY_LOSS
        found = [self.used(target, limit, at) for limit in mine]
        return all(one is not None and (one[0] < one[1] or not one[0]) for one in found)


def _price(place: Place, book: Book | None) -> int:
    """At what price an order that takes risk counts, in price units: a buy at most, a sale at least. 0 while that is not known."""
    if place.side is Side.SELL:
        return max(place.limit or place.stop or 0, 0 if book is None else book.bid)
    ask = 0 if book is None else book.ask
    return place.limit or max(place.stop or 0, ask)


def _name(target: Sleeve | CoreVault) -> str:
    return target.name if isinstance(target, Sleeve) else target.owner
