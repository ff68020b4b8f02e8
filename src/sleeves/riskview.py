"""What is at risk, as a view over a journal's own history: per sleeve and for the whole, to be printed, listed and checked.

It reads records, not live objects: the same fold as a report, and the prices of its marks. Nothing is estimated, filled in
or taken from elsewhere. A figure that the history does not carry is None, and says how much there is and how much it
takes. Returns are what trading made: what was paid in, swept or withdrawn is never profit or loss.

The view is of the moment of the latest mark. It acts on nothing; `limits` does.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from attrs import define, evolve, field, frozen

from .errors import VaultError
from .margin import Check, Contract, MarginAccount, requirement
from .market import DAY, HOUR, SECOND, Instrument
from .markup import block, table
from .money import Amount, Asset, Fraction, Rounding, decimal_text, ppm
from .records import Marked, Record
from .report import Sample, SleeveStory, Story, fold
from .risk import (
    DAYS_A_YEAR,
    Drawdown,
    Method,
    Tier,
    ValueAtRisk,
    beta,
    by_risk,
    compound,
    concentration,
    contributions,
    correlation,
    covariance,
    drawdowns,
    left_of,
    limit_of,
    returns,
    returns_needed,
    sharpe,
    sortino,
    tier,
    value_at_risk,
    volatility,
    volatility_of,
)

__all__ = ["LEAST_DAYS", "Breach", "Day", "Exposed", "Figure", "Held", "RiskLimit", "RiskView", "Track", "check"]

LEAST_DAYS = 20
"""Known days below which nothing is said of how returns move: a correlation of 20 days is known to about 0.2."""
_DAY_LEAST, _DAY_MOST = 20 * HOUR, 28 * HOUR
_COLUMNS = 5
"""How many sleeves stand side by side in a printed table."""


@frozen(order=False)
class Figure:
    """A figure, or None with how much there is to work it out from and how much it takes; `note` says how, or why not."""

    value: float | None
    have: int = 0
    need: int = 0
    of: str = "days"
    note: str = ""

    @property
    def missing(self) -> str:
        """Why there is no value; nothing where there is one."""
        if self.value is not None:
            return ""
        if self.have < self.need:
            return f"not enough data: {self.have:,} of {self.need:,} {self.of}"
        return self.note or "not defined"


@frozen(order=False)
class Day:
    """One UTC day: its last mark, the equity then in units, and the return of the day. A mark at midnight ends its day.

    The return is None where it is not that of one day: on the first day, when the close before it is not 20 to 28 hours
    away, and when there was no money at work.
    """

    day: int
    at: int
    equity: int
    gain: float | None


@frozen(order=False)
class Track:
    """A sleeve, or all vaults of one asset together with what is idle in them: its days, and its figures by name."""

    name: str
    asset: Asset
    engine: str
    equity: Amount | None
    """At the latest mark; None while a holding has no price."""
    days: tuple[Day, ...]
    figures: Mapping[str, Figure] = field(hash=False)
    fall: Drawdown | None = None
    """The falls of its return index over all marks, in nanoseconds."""

    def __getitem__(self, name: str) -> Figure:
        try:
            return self.figures[name]
        except KeyError:
            raise VaultError(f"no figure {name!r}: there are {', '.join(self.figures)}") from None

    @property
    def returns(self) -> tuple[float | None, ...]:
        """One return a calendar day, from the first day with one to the last; None where it is not known."""
        gains = {one.day: one.gain for one in self.days}
        known = [day for day, gain in gains.items() if gain is not None]
        return tuple(gains.get(day) for day in range(known[0], known[-1] + 1)) if known else ()

    def over(self, days: int) -> Figure:
        """What the last so many calendar days made together; unknown if one of them is."""
        if type(days) is not int or days < 1:
            raise VaultError(f"days {days!r} must be a whole number, at least 1")
        last = self.returns[-days:]
        known = [one for one in last if one is not None]
        return Figure(compound(known) if len(known) == days else None, len(known), days)


@frozen(order=False)
class Held:
    """A position of a sleeve at the latest marks. `value` is in units of the sleeve's asset, below zero for short; None: no price.

    `contribution` is what it adds to the yearly volatility of its whole, as a part of the whole's equity.
    """

    sleeve: str
    engine: str
    symbol: str
    coin: str
    asset: Asset
    contract: bool
    qty: int
    value: int | None
    margin: int | None
    """What the contract needs to be opened, in units; None where it has no price, 0 for coins."""
    contribution: float | None = None


@frozen(order=False)
class Exposed:
    """Positions that have a coin, an instrument, an engine or a sleeve in common, in coins of their asset.

    `share` is their part of all that is exposed, and all shares sum to 1; `of_equity` is their part of the whole's equity.
    None while a position of the whole has no price.
    """

    name: str
    asset: Asset
    gross: Amount | None
    net: Amount | None
    share: float | None
    of_equity: float | None


@frozen(order=False)
class RiskLimit:
    """So much of a figure and no more: `RiskLimit("var_1d", "5%")`, `RiskLimit("exposure", "30%", of="BTC")`.

    `of` names a sleeve, and for an exposure also a coin, an instrument or an engine; without it the whole is meant. Losses
    and betas are compared by size. `most` is text such as "5%" or "3", a whole number or a Decimal; raises `VaultError` for
    a figure that is none, `InvalidAmount` for what is no number above zero.
    """

    name: str
    most: Fraction | int
    of: str = ""

    def __attrs_post_init__(self) -> None:
        if self.name not in FIGURES or self.name in _NO_LIMIT:
            raise VaultError(f"a risk limit is on {', '.join(one for one in FIGURES if one not in _NO_LIMIT)}, not on {self.name!r}")
        if not isinstance(self.of, str):
            raise VaultError(f"a risk limit is of a name, not of {self.of!r}")
        limit_of(self.most)


@frozen(order=False)
class Breach:
    """Where one figure stands to its limit: `tier` is ok, 80%, 90%, breached, or that there is not enough data."""

    limit: RiskLimit
    subject: str
    value: float | None
    tier: Tier
    missing: str = ""

    def __str__(self) -> str:
        if self.value is None:
            return f"{self.subject}: {FIGURES[self.limit.name]} unknown, {self.missing}"
        value = _form(self.limit.name, self.value)
        return f"{self.subject}: {FIGURES[self.limit.name]} {value} of {self.limit.most}, {self.tier}"


FIGURES = {
    "return": "return, flows apart",
    "volatility": "volatility, a year",
    "var_1d": "value at risk, 1 day",
    "shortfall_1d": "expected shortfall, 1 day",
    "var_7d": "value at risk, 7 days",
    "shortfall_7d": "expected shortfall, 7 days",
    "drawdown": "drawdown now",
    "deepest_drawdown": "deepest drawdown",
    "sharpe": "Sharpe (365 days)",
    "sortino": "Sortino (365 days)",
    "beta": "beta",
    "correlation": "highest correlation",
    "exposure": "exposure, of equity",
    "leverage": "leverage of contracts",
    "utilisation": "margin in use",
    "position": "largest position",
    "concentration": "concentration (HHI)",
    "position_volatility": "volatility of positions",
}
"""The figures of a track, in the order in which they are printed, and what they are called.

`volatility` is of the past, `position_volatility` of what is held now: the yearly volatility of the whole's positions at how
their prices have moved together, as a part of its equity. Of a sleeve it is what its positions add to that; they sum to it.
"""

_LOSSES = frozenset({"var_1d", "var_7d", "shortfall_1d", "shortfall_7d", "drawdown", "deepest_drawdown"})
_PLAIN = frozenset({"sharpe", "sortino", "beta", "correlation", "concentration"})
_NO_LIMIT = frozenset({"return", "sharpe", "sortino"})
_BY = {"asset": "coin", "instrument": "symbol", "engine": "engine", "sleeve": "sleeve"}


def check(view: RiskView, limits: Iterable[RiskLimit]) -> list[Breach]:
    """Where the view stands to each limit, in their order: exactly 80%, exactly 90% and exactly the limit count as reached.

    A limit of nobody in particular is looked at for each whole. A figure that is not known is never ok. Raises `VaultError`
    for a subject that the journal does not have.
    """
    found = []
    for limit in limits:
        for subject, figure in view._limited(limit):
            value = figure.value
            if value is not None:
                value = -value if limit.name in _LOSSES else abs(value) if limit.name == "beta" else value
            found.append(Breach(limit, subject, value, tier(value, limit.most), figure.missing))
    return found


class RiskView:
    """What is at risk at the latest mark of a journal. Made with `RiskView.of`; print it, or take its `rows`.

    `sleeves` are by name, `wholes` by the code of their asset: sums over two assets are not made, since no price between
    them is known here. What stands in SUSPENSE is nobody's and in none of them.
    """

    def __init__(
        self,
        *,
        marked: int | None,
        confidence: Fraction,
        benchmark: str,
        sleeves: Mapping[str, Track],
        wholes: Mapping[str, Track],
        correlations: Mapping[str, Mapping[str, Figure]],
        positions: Sequence[Held],
        names: Iterable[str] = (),
    ) -> None:
        self.marked = marked
        self.confidence = confidence
        self.benchmark = benchmark
        self.sleeves = sleeves
        self.wholes = wholes
        self.correlations = correlations
        """Of each sleeve's daily returns with each other's."""
        self.positions = tuple(positions)
        self._names = frozenset(names)

    @classmethod
    def of(cls, source: Any, *, benchmark: Instrument | str = "", confidence: Fraction = "95%", last: int | None = None) -> RiskView:
        """The view of a desk, of books, of a journal or of its records from the first on.

        `benchmark` is an instrument of the desk that betas are measured against, `last` how many of the latest days are
        looked at, all by default. Raises `VaultError` for what has no records, or no such instrument.
        """
        needed = returns_needed(confidence)
        if last is not None and (type(last) is not int or last < 1):
            raise VaultError(f"last {last!r} must be a whole number of days, at least 1")
        market = benchmark.symbol if isinstance(benchmark, Instrument) else benchmark
        prices = _Prices()
        story = fold(prices.noted(_records(source)))
        if market and market not in story.instruments:
            raise VaultError(f"{market!r} is none of the instruments here: {', '.join(story.instruments) or 'there are none'}")
        since = -math.inf if last is None else (prices.marked - 1) // DAY - last
        return _Making(story, prices, market, confidence, needed, since).view()

    # -- asking --------------------------------------------------------------------------------------------------------

    @property
    def whole(self) -> Track:
        """All together, where all vaults count in one asset. Raises `VaultError` where they do not: see `wholes`."""
        if len(self.wholes) != 1:
            raise VaultError(f"there is no one whole: vaults count in {', '.join(self.wholes) or 'nothing yet'}; see wholes")
        return next(iter(self.wholes.values()))

    def exposure(self, by: str) -> list[Exposed]:
        """What is exposed by "asset" (the coin that is held), "instrument", "engine" or "sleeve", the largest first."""
        if by not in _BY:
            raise VaultError(f"an exposure is by {', '.join(_BY)}, not by {by!r}")
        found = []
        for code, whole in self.wholes.items():
            held = [one for one in self.positions if one.asset.code == code]
            values = [one.value for one in held if one.value is not None]
            total = sum(map(abs, values)) if len(values) == len(held) else None
            groups: dict[str, list[Held]] = {}
            for one in held:
                groups.setdefault(getattr(one, _BY[by]) or "none", []).append(one)
            found += sorted((_exposed(name, some, total, whole) for name, some in groups.items()), key=_size, reverse=True)
        return found

    def to_close(self) -> list[Held]:
        """All positions in the order in which they would be closed, see `risk.by_risk`: what adds most to the risk first."""
        names = {(one.sleeve, one.symbol): one for one in self.positions}
        values = {name: None if one.value is None else one.value / 10.0**one.asset.scale for name, one in names.items()}
        return [names[name] for name in by_risk(values, {name: one.contribution for name, one in names.items()})]

    def _limited(self, limit: RiskLimit) -> list[tuple[str, Figure]]:
        """The figures that a limit is on, and whose they are."""
        if not limit.of:
            return [(one.name, one[limit.name]) for one in self.wholes.values()]
        if limit.of in self.sleeves:
            return [(limit.of, self.sleeves[limit.of][limit.name])]
        if limit.name != "exposure" or limit.of not in self._names:
            known = f"{', '.join(self.sleeves)}" + (f", {', '.join(sorted(self._names))}" if limit.name == "exposure" else "")
            raise VaultError(f"a limit on {limit.name} is of one of {known}; not of {limit.of!r}")
        for by in ("asset", "instrument", "engine"):
            some = [one for one in self.exposure(by) if one.name == limit.of]
            if some:
                return [(limit.of, Figure(one.of_equity, note="a position has no price, or there is no equity")) for one in some]
        return [(limit.of, Figure(0.0))]

    # -- rows ----------------------------------------------------------------------------------------------------------

    def rows(self) -> list[dict[str, Any]]:
        """One plain row per sleeve and whole: figures as floats, None where there is not enough data. For pandas or polars."""
        return [
            {
                "name": one.name,
                "engine": one.engine,
                "asset": one.asset.code,
                "equity": None if one.equity is None else one.equity.text,
                "days": sum(day.gain is not None for day in one.days),
                **{name: figure.value for name, figure in one.figures.items()},
            }
            for one in (*self.sleeves.values(), *self.wholes.values())
        ]

    def curve(self, name: str) -> list[dict[str, Any]]:
        """One plain row per day of a sleeve, or of a whole by its name: its last mark, equity in coins as text, and its return."""
        known = {one.name: one for one in (*self.wholes.values(), *self.sleeves.values())}
        if name not in known:
            raise VaultError(f"no {name!r} in this view: there are {', '.join(known)}")
        scale = known[name].asset.scale
        return [{"at": day.at, "equity": decimal_text(day.equity, scale), "return": day.gain} for day in known[name].days]

    def exposure_rows(self) -> list[dict[str, Any]]:
        """One plain row per coin, instrument and engine: `exposure` as plain data."""
        return [
            {
                "by": by,
                "name": one.name,
                "asset": one.asset.code,
                "gross": None if one.gross is None else one.gross.text,
                "net": None if one.net is None else one.net.text,
                "share": one.share,
                "of_equity": one.of_equity,
            }
            for by in ("asset", "instrument", "engine")
            for one in self.exposure(by)
        ]

    # -- for people ----------------------------------------------------------------------------------------------------

    def _title(self) -> str:
        at = ", nothing was marked yet" if self.marked is None else f" at the marks of {_moment(self.marked)}"
        against = f", beta to {self.benchmark}" if self.benchmark else ""
        return f"risk{at}, value at risk at {_level(self.confidence)}{against}"

    def _tables(self) -> Iterator[list[list[str]]]:
        """Its tables, each with a row of heads: figures, exposures, correlations."""
        tracks = [*self.sleeves.values(), *self.wholes.values()]
        for some in (tracks[i : i + _COLUMNS] for i in range(0, len(tracks), _COLUMNS)):
            yield _figures_table(some)
        for by in ("asset", "instrument", "engine"):
            exposed = self.exposure(by)
            if exposed:
                yield [[f"exposure by {by}", "gross", "net", "share", "of equity"], *map(_exposed_row, exposed)]
        names = list(self.sleeves)
        for some_names in (names[i : i + _COLUMNS] for i in range(0, len(names), _COLUMNS) if len(names) > 1):
            body = [[name, *(_cell("correlation", self.correlations[name][other]) for other in some_names)] for name in names]
            yield [["correlation", *some_names], *body]

    def __str__(self) -> str:
        lines = [self._title()]
        for one in self._tables():
            lines += ["", *_aligned(one, rule=not one[0][0])]
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return block(self._title(), *(table(head, body) for head, *body in self._tables()))


# -- from the journal --------------------------------------------------------------------------------------------------


def _records(source: Any) -> Iterable[Record]:
    books = getattr(source, "books", source)
    journal = getattr(books, "journal", books)
    if isinstance(journal, (str, bytes)) or not isinstance(journal, Iterable):
        raise VaultError(f"a risk view is of a desk, of books or of a journal, not of {source!r}")
    return journal


@define
class _Prices:
    """What the marks of a journal say of prices, noted while it is folded."""

    marked: int = 0
    marks: dict[int, None] = field(factory=dict)
    """The instants of all marks, in the journal's order."""
    closes: dict[str, dict[int, tuple[int, int]]] = field(factory=dict)
    """By symbol and day, when the last price was seen, and the price."""

    def noted(self, records: Iterable[Record]) -> Iterator[Record]:
        for record in records:
            if isinstance(record, Marked):
                self.marked = max(self.marked, record.at)
                self.marks[record.at] = None
                day = (record.at - 1) // DAY
                for symbol, (price, seen) in record.prices.items():
                    self.closes.setdefault(symbol, {})[day] = (seen, price)
            elif not hasattr(record, "at"):
                raise VaultError(f"{record!r} is no record of a journal")
            yield record

    def returns(self, symbol: str, since: float) -> dict[int, float]:
        """By day, the return of a price whose two closes were seen 20 to 28 hours apart."""
        found = {}
        for (before, (seen, price)), (day, (then, after)) in itertools.pairwise(sorted(self.closes.get(symbol, {}).items())):
            if day > since and day == before + 1 and _DAY_LEAST <= then - seen <= _DAY_MOST:
                found[day] = after / price - 1
        return found


@define
class _Curve:
    """Equity at marks and beside transfers, with what came and went in between, in units."""

    at: list[int] = field(factory=list)
    values: list[int] = field(factory=list)
    paid_in: list[int] = field(factory=list)
    taken_out: list[int] = field(factory=list)
    closes: dict[int, int] = field(factory=dict)
    """By day, where its last mark stands."""
    gains: list[float] = field(factory=list)
    """`gains[i]` is the return from value `i` to value `i + 1`."""

    def add(self, at: int, value: int, paid_in: int, taken_out: int, *, mark: bool) -> None:
        self.at.append(at)
        self.values.append(value)
        self.paid_in.append(paid_in)
        self.taken_out.append(taken_out)
        if mark:
            self.closes[(at - 1) // DAY] = len(self.at) - 1

    def worked(self, first: int, last: int) -> bool:
        """Whether any money was at work from value `first` to value `last`."""
        return any(self.values[i] + self.paid_in[i + 1] > 0 for i in range(first, last))


def _sleeve_curve(story: SleeveStory, marks: Mapping[int, None]) -> _Curve:
    """A sleeve at all its marks and transfers at which its equity is known."""
    curve, before = _Curve(), Sample(0, 0, 0, 0, 0, 0, 0, 0, 0)
    for sample in story.samples:
        if sample.equity is None:
            continue
        at = max(sample.at, curve.at[-1]) if curve.at else sample.at  # what was told late comes where it was told
        paid, taken = sample.paid_in - before.paid_in, sample.taken_out - before.taken_out
        curve.add(at, sample.equity, paid, taken, mark=at == sample.at and at in marks)
        before = sample
    curve.gains = returns(curve.values, curve.paid_in, curve.taken_out)
    return curve


def _whole_curve(story: Story, asset: Asset, marks: Mapping[int, None]) -> _Curve:
    """All vaults of one asset, at the marks at which the equity of all their sleeves is known.

    What came from outside since the mark before is the change of what is idle and of what sleeves were given, net,
    together: what moves between a vault and its sleeves cancels out.
    """
    vaults = [vault for vault in story.vaults.values() if vault.asset.code == asset.code]
    idle: dict[int, int] = {}
    for vault in vaults:
        for at, units in {one.at: one.idle_and_reserve for one in vault.samples}.items():
            idle[at] = idle.get(at, 0) + units
    sleeves = [{one.at: one for one in story.sleeves[name].samples} for vault in vaults for name in vault.sleeves]
    curve, brought = _Curve(), 0
    for at in marks:
        if at not in idle or (curve.at and at < curve.at[-1]):
            continue
        seen = [samples[at] for samples in sleeves if at in samples]
        known = [one.equity for one in seen if one.equity is not None]
        if len(known) == len(seen):
            now = idle[at] + sum(one.paid_in - one.taken_out for one in seen)
            curve.add(at, idle[at] + sum(known), max(0, now - brought), max(0, brought - now), mark=True)
            brought = now
    curve.gains = returns(curve.values, curve.paid_in, curve.taken_out)
    return curve


def _days(curve: _Curve, since: float) -> tuple[Day, ...]:
    """The closes of a curve, and what each day made."""
    days: list[Day] = []
    last = -1
    for day, i in curve.closes.items():
        gain = None
        if days and days[-1].day == day - 1 and _DAY_LEAST <= curve.at[i] - curve.at[last] <= _DAY_MOST and curve.worked(last, i):
            gain = compound(curve.gains[last:i])
        days.append(Day(day, curve.at[i], curve.values[i], gain))
        last = i
    return tuple(one for one in days if one.day > since)


def _margin(market: Instrument, qty: int, price: int) -> int:
    """What a position of contracts needs to be opened, alone and at its size, in quote units."""
    assert market.contract is not None
    contract = Contract(market.symbol, market.contract, qty, 0, price, base_scale=market.base.scale, price_scale=market.price_scale)
    return requirement(MarginAccount((), (contract,), quote_scale=market.quote.scale), Check.INITIAL)


@define
class _Making:
    """A view while it is made."""

    story: Story
    prices: _Prices
    benchmark: str
    confidence: Fraction
    needed: int
    since: float

    def view(self) -> RiskView:
        story, marks = self.story, self.prices.marks
        positions: list[Held] = []
        wholes: dict[str, Track] = {}
        sleeves: dict[str, Track] = {}
        for code, asset in {vault.asset.code: vault.asset for vault in story.vaults.values()}.items():
            names = [name for name, one in story.sleeves.items() if one.fold.asset.code == code]
            equity = self._whole_equity(code)
            held, moving = self._contributed([one for name in names for one in self._held(name)], equity)
            positions += held
            wholes[code] = self._track(f"all {code}", asset, "", _whole_curve(story, asset, marks), equity, held, moving)
            for name in names:
                one, own = story.sleeves[name], [position for position in held if position.sleeve == name]
                units = one.fold.equity(story.prices, story.instruments)
                worth = None if units is None else one.amount(units)
                curve = _sleeve_curve(one, marks)
                sleeves[name] = self._track(name, asset, one.engine, curve, worth, own, _part_of(own, moving))
        sleeves = {name: sleeves[name] for name in story.sleeves}
        matrix = _correlated(sleeves)
        for code, whole in wholes.items():
            own_names = [name for name, one in sleeves.items() if one.asset.code == code]
            wholes[code] = _with(whole, _highest([matrix[a][b] for a, b in itertools.combinations(own_names, 2)]))
        for name, track in sleeves.items():
            sleeves[name] = _with(track, _highest([figure for other, figure in matrix[name].items() if other != name]))
        known = {market.base.code for market in story.instruments.values()} | set(story.instruments)
        return RiskView(
            marked=self.prices.marked if marks else None,
            confidence=self.confidence,
            benchmark=self.benchmark,
            sleeves=sleeves,
            wholes=wholes,
            correlations=matrix,
            positions=positions,
            names=known | {one.engine for one in story.sleeves.values() if one.engine},
        )

    def _whole_equity(self, code: str) -> Amount | None:
        """What all vaults of an asset come to at the journal's end and at its latest prices."""
        story, total, asset = self.story, 0, None
        for vault in story.vaults.values():
            if vault.asset.code != code:
                continue
            asset = vault.asset
            total += vault.coins - vault.suspense
            for name in vault.sleeves:
                units = story.sleeves[name].fold.equity(story.prices, story.instruments)
                if units is None:
                    return None
                total += units
        return None if asset is None else Amount(total, asset)

    def _held(self, name: str) -> Iterator[Held]:
        one = self.story.sleeves[name]
        for symbol, qty in one.fold.positions.items():
            if not qty:
                continue
            market, price = self.story.instruments[symbol], self.story.prices.get(symbol)
            value = margin = None
            if price is not None and market.quote == one.fold.asset:
                value = market.cost(price, qty, Rounding.FLOOR)
                margin = 0 if market.contract is None else _margin(market, qty, price)
            yield Held(name, one.engine, symbol, market.base.code, one.fold.asset, market.contract is not None, qty, value, margin)

    def _contributed(self, held: list[Held], equity: Amount | None) -> tuple[list[Held], Figure]:
        """The positions of a whole with what each adds to their yearly volatility, and that volatility."""
        if not held:
            return held, Figure(0.0, note="no positions")
        values = [one.value for one in held if one.value is not None]
        if len(values) < len(held):
            return held, Figure(None, len(values), len(held), "prices")
        if equity is None or equity.units <= 0:
            return held, Figure(None, note="no equity")
        moves = {symbol: self.prices.returns(symbol, self.since) for symbol in dict.fromkeys(one.symbol for one in held)}
        days = sorted(set.intersection(*(set(one) for one in moves.values())))
        linked = covariance([[one[day] for day in days] for one in moves.values()], LEAST_DAYS)
        if linked is None:
            return held, Figure(None, len(days), LEAST_DAYS, "days of prices")
        place = {symbol: i for i, symbol in enumerate(moves)}
        matrix = [[linked[place[a.symbol]][place[b.symbol]] for b in held] for a in held]
        weights, yearly = [value / equity.units for value in values], math.sqrt(DAYS_A_YEAR)
        parts = contributions(weights, matrix)
        told = [evolve(one, contribution=part * yearly) for one, part in zip(held, parts, strict=True)]
        return told, Figure(volatility_of(weights, matrix) * yearly, len(days), LEAST_DAYS, "days of prices")

    def _track(
        self, name: str, asset: Asset, engine: str, curve: _Curve, equity: Amount | None, held: Sequence[Held], moving: Figure
    ) -> Track:
        days = _days(curve, self.since)
        first = max(0, sum((at - 1) // DAY <= self.since for at in curve.at) - 1)  # what it stood at when the first day began
        gains, fall = curve.gains[first:], None
        if gains and curve.worked(first, len(curve.at) - 1):
            fall = drawdowns(list(itertools.accumulate(gains, lambda index, gain: index * left_of(gain), initial=1.0)), curve.at[first:])
        figures = {
            **self._moved(Track(name, asset, engine, equity, days, {})),
            "return": Figure(None if fall is None else compound(gains), int(fall is not None), 1, "stretches between marks"),
            "drawdown": Figure(None if fall is None else fall.current, int(fall is not None), 1, "stretches between marks"),
            "deepest_drawdown": Figure(None if fall is None else fall.deepest, int(fall is not None), 1, "stretches between marks"),
            **_exposed_figures(held, equity),
            "position_volatility": moving,
        }
        return Track(name, asset, engine, equity, days, figures, fall)

    def _moved(self, track: Track) -> dict[str, Figure]:
        """The figures that are made of daily returns."""
        known = [one.gain for one in track.days if one.gain is not None]
        have, enough = len(known), len(known) >= LEAST_DAYS
        one, seven = (value_at_risk(track.returns, days, self.confidence) for days in (1, 7))
        figures = {
            "var_1d": _at_risk(one, have, self.needed),
            "shortfall_1d": _at_risk(one, have, self.needed, shortfall=True),
            "var_7d": _at_risk(seven, have, self.needed),
            "shortfall_7d": _at_risk(seven, have, self.needed, shortfall=True),
            "volatility": Figure(volatility(known) if enough else None, have, LEAST_DAYS),
            "sharpe": Figure(sharpe(known) if enough else None, have, LEAST_DAYS, note="returns do not vary"),
            "sortino": Figure(sortino(known) if enough else None, have, LEAST_DAYS, note="no losing day"),
            "beta": Figure(None, note="no benchmark"),
        }
        if self.benchmark:
            moves = self.prices.returns(self.benchmark, self.since)
            both = [(one.gain, moves[one.day]) for one in track.days if one.gain is not None and one.day in moves]
            found = beta([gain for gain, _ in both], [move for _, move in both], LEAST_DAYS)
            figures["beta"] = Figure(found, len(both), LEAST_DAYS, note="the benchmark does not vary")
        return figures


def _at_risk(found: ValueAtRisk | None, have: int, need: int, *, shortfall: bool = False) -> Figure:
    if found is None:
        return Figure(None, have, need)
    note = "" if found.days == 1 else f"{found.windows} windows, {found.independent} of them apart"
    if found.method is Method.ROOT_OF_TIME:
        note = str(found.method)
    return Figure(found.shortfall if shortfall else found.loss, have, need, note=note)


def _part_of(own: Sequence[Held], whole: Figure) -> Figure:
    """What a sleeve's positions add to the volatility of all positions."""
    if not own:
        return Figure(0.0, note="no positions")
    if whole.value is None:
        return whole
    return Figure(math.fsum(one.contribution or 0.0 for one in own), whole.have, whole.need, whole.of)


def _exposed_figures(held: Sequence[Held], equity: Amount | None) -> dict[str, Figure]:
    """What is exposed, as parts of the equity: all of it, the largest instrument, contracts, and the margin that they need."""
    values = [one.value for one in held if one.value is not None]
    names = ("exposure", "leverage", "utilisation", "position", "concentration")
    if len(values) < len(held):
        return dict.fromkeys(names, Figure(None, len(values), len(held), "prices"))
    sizes: dict[str, int] = {}
    for one in held:
        sizes[one.symbol] = sizes.get(one.symbol, 0) + abs(one.value or 0)
    contracts = [one for one in held if one.contract]
    none = "" if contracts else "no contracts"
    units = {
        "exposure": (sum(sizes.values()), "" if held else "no positions"),
        "leverage": (sum(abs(one.value or 0) for one in contracts), none),
        "utilisation": (sum(one.margin or 0 for one in contracts), none),
        "position": (max(sizes.values(), default=0), "" if held else "no positions"),
    }
    known = equity is not None and equity.units > 0
    figures = {}
    for name, (size, note) in units.items():
        value = size / equity.units if equity is not None and known else 0.0 if not size else None
        figures[name] = Figure(value, note=note if value is not None else "no equity")
    shares = concentration(list(sizes.values()))
    figures["concentration"] = Figure(shares or 0.0, note="" if shares else "no positions")
    return figures


def _correlated(sleeves: Mapping[str, Track]) -> dict[str, dict[str, Figure]]:
    """Of each with each: symmetric, 1 with itself."""
    gains = {name: {one.day: one.gain for one in track.days if one.gain is not None} for name, track in sleeves.items()}
    found: dict[str, dict[str, Figure]] = {name: dict.fromkeys(sleeves, Figure(1.0)) for name in sleeves}
    for a, b in itertools.combinations(sleeves, 2):
        days = sorted(gains[a].keys() & gains[b].keys())
        value = correlation([gains[a][day] for day in days], [gains[b][day] for day in days], LEAST_DAYS)
        found[a][b] = found[b][a] = Figure(value, len(days), LEAST_DAYS, note="one does not vary")
    return found


def _highest(pairs: Sequence[Figure]) -> Figure:
    """The highest of the correlations that are known, and of how many it is."""
    known = [one for one in pairs if one.value is not None]
    if not known:
        return max(pairs, key=lambda one: one.have) if pairs else Figure(None, note="no other sleeve")
    note = f"{len(known)} of {len(pairs)} pairs" if len(known) < len(pairs) else ""
    return evolve(max(known, key=lambda one: one.value if one.value is not None else -1.0), note=note)


def _with(track: Track, highest: Figure) -> Track:
    figures = {**track.figures, "correlation": highest}
    return evolve(track, figures={name: figures[name] for name in FIGURES})


def _exposed(name: str, some: Sequence[Held], total: int | None, whole: Track) -> Exposed:
    asset = whole.asset
    if total is None:
        return Exposed(name, asset, None, None, None, None)
    gross, net = sum(abs(one.value or 0) for one in some), sum(one.value or 0 for one in some)
    worth = whole.equity
    of_equity = gross / worth.units if worth is not None and worth.units > 0 else None
    return Exposed(name, asset, Amount(gross, asset), Amount(net, asset), gross / total if total else None, of_equity)


def _size(one: Exposed) -> float:
    return math.inf if one.gross is None else float(one.gross.decimal)


# -- as text -----------------------------------------------------------------------------------------------------------


def _form(name: str, value: float) -> str:
    if name == "leverage":
        return f"{value:.2f}x"
    return f"{value:.2f}" if name in _PLAIN else f"{value:.2%}"


def _cell(name: str, figure: Figure) -> str:
    if figure.value is None:
        return figure.missing
    if figure.value == 0 and figure.note.startswith("no "):
        return "none"
    note = f" ({figure.note})" if figure.note == Method.ROOT_OF_TIME or figure.note.endswith("pairs") else ""
    return _form(name, figure.value) + note


def _figures_table(tracks: Sequence[Track]) -> list[list[str]]:
    table = [["", *(f"{one.name} ({one.asset.code})" if " " not in one.name else one.name for one in tracks)]]
    table.append(["equity", *("no price" if one.equity is None else f"{one.equity:,.2f}" for one in tracks)])
    table.append(["days", *(str(sum(day.gain is not None for day in one.days)) for one in tracks)])
    table += [[label, *(_cell(name, one[name]) for one in tracks)] for name, label in FIGURES.items()]
    table.append(["longest drawdown", *(_span(one) for one in tracks)])
    return table


def _span(track: Track) -> str:
    return "not enough data" if track.fall is None else f"{track.fall.longest / DAY:.1f} days"


def _exposed_row(one: Exposed) -> list[str]:
    if one.gross is None or one.net is None:
        return [one.name, "no price", "no price", "", ""]
    share, part = ("" if value is None else f"{value:.1%}" for value in (one.share, one.of_equity))
    return [one.name, f"{one.gross:,.2f}", f"{one.net:,.2f} {one.asset}", share, part]


def _aligned(table: Sequence[Sequence[str]], *, rule: bool = False) -> list[str]:
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]).rstrip()
        for row in table
    ]
    if rule:
        lines.insert(1, "-" * (sum(widths) + 2 * (len(widths) - 1)))
    return lines


def _moment(at: int) -> str:
    return f"{datetime.fromtimestamp(at // SECOND, UTC):%Y-%m-%d %H:%M} UTC"


def _level(confidence: Fraction) -> str:
    return decimal_text(ppm(confidence, "confidence"), 4) + "%"
