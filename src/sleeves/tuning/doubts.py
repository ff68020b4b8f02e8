"""Why not to believe a result: each reason with its code, a sentence and the numbers that it stands on.

Three kinds. Rules that no venue has: a result that costs nothing to reach. A past that says too little: few trades, much luck,
one lucky trade. And signs that a search has fitted what will not come again. A doubt is no verdict; without one a result may
still be worth nothing. Nothing here runs anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from attrs import field, frozen

from ..money import decimal_text
from ..sim.models import Maker, Rules, Slippage, SquareRoot
from .luck import Shape, deflated, expected_best, years_needed
from .space import Range

if TYPE_CHECKING:
    from .tuned import Fold, Tuned

__all__ = ["CODES", "LEAST_TRADES", "Doubt", "of_rules", "of_tuned"]

LEAST_TRADES = 10
"""Round trips in a window, fewer of which say little."""
ONE_TRADE = 0.5
"""A single trade that made more than this part of the profit made it."""
WORSE = 0.5
"""Profit a day out of sample below this part of that in sample is far below it."""
SURE = 0.95
"""How probable it must be that a result is more than luck."""

CODES: Mapping[str, str] = {
    "rebate": "a fee below zero pays for trading: nearly always a fee with the wrong sign",
    "no_fee": "a fee of nothing",
    "no_slippage": "orders at market fill at the very price",
    "touch": "resting orders fill as soon as the price touches them",
    "nothing_chosen": "no try of a fold had a value: nothing was run out of sample",
    "broken": "the chosen parameters did not come through their test window",
    "few_trades": "too few round trips in a window",
    "one_trade": "one round trip made most of the profit",
    "worse_outside": "far less was made out of sample than in sample",
    "luck": "luck alone would probably have found as much in sample",
    "many_tries": "the train window is short for so many tries",
    "at_edge": "the best lies at an end of its range: a better one may lie beyond",
    "flat": "whatever was tried had the same value: the parameters change nothing",
    "undefined": "most tries had no value",
    "refused": "more was refused, or lost at the venue, than filled",
    "no_gap": "something is learned on the train window, and the test follows it without a gap",
    "tested_twice": "rows lie in more than one test window, and count more than once",
    "not_repeatable": "a second run of the best did not give the same value",
}
"""What each code says."""


@frozen(order=False)
class Doubt:
    """One reason not to believe a result."""

    code: str
    text: str
    numbers: Mapping[str, str] = field(factory=dict, hash=False)

    def __str__(self) -> str:
        return f"{self.code}: {self.text}"


def _percent(ppm: int) -> str:
    return decimal_text(ppm, 4) + "%"


def of_rules(rules: Rules, *, has_book: bool = False) -> list[Doubt]:
    """What is too good to be true in the rules of a simulated venue. `has_book`: orders at market walk a book of the tape."""
    found = []
    for name, rate in (("maker", rules.fees.maker_ppm), ("taker", rules.fees.taker_ppm)):
        numbers = {name: _percent(rate)}
        if rate < 0:
            text = f"the {name} fee is {_percent(rate)}, below zero: it pays for every trade. A cost is written above zero"
            found.append(Doubt("rebate", text, numbers))
        elif not rate:
            found.append(Doubt("no_fee", f"the {name} fee is nothing: a search will trade as often as it can", numbers))
    slippage = rules.slippage
    free = isinstance(slippage, Slippage) and not slippage.high_ppm
    free |= isinstance(slippage, SquareRoot) and not slippage.half_spread_ppm and not slippage.impact_ppm
    if free and rules.pool is None and rules.book is None and not has_book:
        found.append(Doubt("no_slippage", "orders at market fill at the very price, whatever their size", {"slippage": "0%"}))
    if rules.maker is Maker.TOUCH:
        found.append(Doubt("touch", "resting orders fill as soon as the price touches them, as if they stood first in the queue"))
    return found


def of_tuned(tuned: Tuned) -> list[Doubt]:
    """All doubts about a result, the rules' first."""
    return [
        *of_rules(tuned.rules, has_book=tuned.has_book),
        *_twice(tuned),
        *(doubt for fold in tuned.folds for doubt in _of_fold(fold, tuned)),
        *_of_total(tuned),
    ]


def _of_fold(fold: Fold, tuned: Tuned) -> Iterable[Doubt]:
    where = f"fold {fold.number}"
    if fold.chosen is None:
        text = f"{where}: none of its {len(fold.tries)} tries had a value ({_reasons(fold)}), so nothing was chosen and nothing run"
        yield Doubt("nothing_chosen", text, {"fold": str(fold.number), "tries": str(len(fold.tries))})
        return
    if fold.broken:
        yield Doubt("broken", f"{where}: the chosen parameters did not come through their test: {fold.broken}", {"fold": str(fold.number)})
    if not fold.repeated:
        text = f"{where}: a second run of the best did not give its value again: an engine keeps something outside of its memory"
        yield Doubt("not_repeatable", text, {"fold": str(fold.number)})
    yield from _few_trades(fold, tuned.least_trades)
    yield from _luck(fold)
    yield from _search(fold, tuned)
    out = fold.outside
    if out is not None and out.refused + out.lost > out.fills:
        numbers = {"fold": str(fold.number), "refused": str(out.refused), "lost": str(out.lost), "fills": str(out.fills)}
        text = f"{where}: {out.refused} wishes were refused and {out.lost} orders lost in the test, against {out.fills} fills"
        yield Doubt("refused", text, numbers)
    if tuned.learns and not fold.split.purged:
        text = f"{where}: something is learned on the train window, and the test follows without a gap: labels that look ahead would tell"
        yield Doubt("no_gap", text, {"fold": str(fold.number), "purged": "0"})


def _reasons(fold: Fold) -> str:
    reasons = list(dict.fromkeys(one.reason for one in fold.tries if one.value is None))
    return "; ".join(reasons[:3]) + ("; and others" if len(reasons) > 3 else "")


def _few_trades(fold: Fold, least: int) -> Iterable[Doubt]:
    for what, outcome in (("test", fold.outside), ("train", fold.inside)):
        if outcome is not None and outcome.trades < least:
            trips = f"{outcome.trades} round trip{'s' * (outcome.trades != 1)}"
            text = f"fold {fold.number}: {trips} in its {what} window, fewer than {least}"
            yield Doubt("few_trades", text, {"fold": str(fold.number), "window": what, "trades": str(outcome.trades), "least": str(least)})


def _luck(fold: Fold) -> Iterable[Doubt]:
    tries, shape = fold.distinct, None if fold.inside is None else fold.inside.shape
    numbers = {"fold": str(fold.number), "tries": str(tries)}
    sure = chance_of(shape, tries, fold.variance)
    if shape is None or sure is None:
        yield Doubt("luck", f"fold {fold.number}: too few daily returns in sample to tell the best of {tries} tries from luck", numbers)
    elif sure < SURE:
        best = expected_best(tries, fold.variance or 0.0)
        numbers |= {"sharpe": f"{shape.sharpe:.4f}", "luck": f"{best:.4f}", "days": str(shape.count), "sure": f"{sure:.4f}"}
        text = (
            f"fold {fold.number}: the best of {tries} tries has a daily Sharpe ratio of {shape.sharpe:.3f} in sample, luck is expected "
            f"to find {best:.3f}: more than luck with a probability of {sure:.0%} (deflated Sharpe ratio)"
        )
        yield Doubt("luck", text, numbers)
    years, need = (fold.inside.days / 365 if fold.inside is not None else 0.0), years_needed(tries)
    if years < need:
        numbers = {"fold": str(fold.number), "tries": str(tries), "years": f"{years:.2f}", "needed": f"{need:.2f}"}
        text = (
            f"fold {fold.number}: {tries} tries on {years:.2f} years; below {need:.2f} years luck alone is expected to show a Sharpe of 1"
        )
        yield Doubt("many_tries", text, numbers)


def chance_of(shape: Shape | None, tries: int, variance: float | None) -> float | None:
    """The deflated Sharpe ratio of a best try; None where it is not known."""
    if shape is None or (variance is None and tries > 1):
        return None
    return deflated(shape, tries, variance or 0.0)


def _search(fold: Fold, tuned: Tuned) -> Iterable[Doubt]:
    assert fold.chosen is not None
    for name, value in fold.chosen.params.items():
        param = tuned.space[name]
        if isinstance(param, Range) and param.at_edge(value):
            text = f"fold {fold.number}: the best {name}, {value:g}, lies at an end of its range {param}"
            yield Doubt("at_edge", text, {"fold": str(fold.number), "parameter": name, "value": str(value), "range": str(param)})
    values = [one.value for one in fold.tries if one.value is not None]
    if fold.distinct > 1 and len(values) == len(fold.tries) and len(set(values)) == 1:
        text = f"fold {fold.number}: all {fold.distinct} tries had the same value: the parameters change nothing"
        yield Doubt("flat", text, {"fold": str(fold.number), "tries": str(fold.distinct)})
    none = sum(one.value is None and not one.pruned for one in fold.tries)
    if 2 * none > len(fold.tries):
        text = f"fold {fold.number}: {none} of {len(fold.tries)} tries had no value ({_reasons(fold)})"
        yield Doubt("undefined", text, {"fold": str(fold.number), "undefined": str(none), "tries": str(len(fold.tries))})


def _twice(tuned: Tuned) -> Sequence[Doubt]:
    rows = tuned.splits.tested_twice()
    if not rows:
        return ()
    return (
        Doubt("tested_twice", f"{rows:,} rows lie in more than one test window: the total counts them more than once", {"rows": str(rows)}),
    )


def _of_total(tuned: Tuned) -> Iterable[Doubt]:
    outside = [fold.outside for fold in tuned.folds if fold.outside is not None]
    inside = [fold.inside for fold in tuned.folds if fold.inside is not None and fold.outside is not None]
    if not outside:
        return
    asset, made = outside[0].profit.asset, sum(one.profit.units for one in outside)
    best = max((one.best_trade.units for one in outside if one.best_trade is not None), default=0)
    if made > 0 and best > ONE_TRADE * made:
        part, total = asset.units(best), asset.units(made)
        text = f"out of sample one round trip made {part}, of {total} in all: without it {asset.units(made - best)} were made"
        yield Doubt("one_trade", text, {"trade": str(part), "profit": str(total)})
    before = sum(one.profit.units for one in inside) / max(1e-9, sum(one.days for one in inside))
    after = made / max(1e-9, sum(one.days for one in outside))
    if before > 0 and after < WORSE * before:
        scale = 10.0**asset.scale
        numbers = {"inside": f"{before / scale:.6g}", "outside": f"{after / scale:.6g}"}
        text = f"{after / scale:,.2f} {asset} a day were made out of sample, {before / scale:,.2f} in sample, where they were chosen"
        yield Doubt("worse_outside", text, numbers)
