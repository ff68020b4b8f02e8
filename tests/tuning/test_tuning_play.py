"""One run over one window: exact, its warm-up seen and not counted, and nothing of the future in it."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sleeves import BTC, FLASH, QUIET, USD, CoreVault, Desk, Place, Side
from sleeves.errors import InvalidAmount, VaultError
from sleeves.market import DAY, HOUR
from sleeves.records import Changed, Refusal
from sleeves.sim import Rules, replay
from sleeves.tuning import Window
from sleeves.tuning.outcome import OBJECTIVES, check_objective, score
from sleeves.tuning.play import BY, Run, play, try_run
from tuning_stand import CHEAP, MARKET, Swing, desk_of, swinging, tape_of, walk

TAPE = walk(240)


class Eager:
    """Wishes to buy on every row, and remembers how often it was asked."""

    name = "eager"
    every = 0
    watches = (MARKET,)
    asked = None

    def begin(self):
        Eager.asked = []
        return {}

    def decide(self, memory, view):
        Eager.asked.append((view.now, view.position(MARKET), view.free()))
        return (Place(MARKET, Side.BUY, MARKET.qty("0.01")),)


@settings(max_examples=25)
@given(start=st.integers(0, 150), length=st.integers(5, 80), dip=st.sampled_from([0.001, 0.01]), keep=st.integers(1, 10))
def test_without_a_warm_up_it_is_a_replay_to_the_unit(start, length, dip, keep):
    window = Window(start, start + length)
    report, outcome = play(Run(swinging, {"dip": dip, "keep": keep}, TAPE, window, CHEAP))
    desk = swinging(dip, keep)
    plain = replay(desk, TAPE.slice(start, start + length), rules=CHEAP, progress=False, bounds=False)
    row = plain.rows()[0]
    assert report.desk.books.journal.digest() == desk.books.journal.digest()
    assert outcome.profit.text == row["net_profit"]
    assert outcome.fees.text == row["fees"]
    assert (outcome.fills, outcome.trades) == (row["fills"], row["trades"])
    assert outcome.gain == pytest.approx(row["return"])
    assert outcome.returns[1:] == tuple(plain.daily().values())[-len(outcome.returns) + 1 :] or len(outcome.returns) == 1
    assert outcome.capital == USD("10000")
    assert outcome.drawdown.units >= max(0, -outcome.profit.units)
    assert outcome.best_trade == max((t.net for t in plain.story.sleeves["a"].trades), key=lambda net: net.units, default=None)
    assert (outcome.since, outcome.rows) == (TAPE.at[start], length)
    assert report.proof.holds


@settings(max_examples=25)
@given(start=st.integers(0, 60), warm=st.integers(0, 60), keep=st.integers(1, 10))
def test_how_often_is_marked_changes_no_money_and_no_day(start, warm, keep):
    """A desk that marks once a day loses nothing of the window's first day, warm-up or not."""

    def marked(every):
        def make():
            vault = CoreVault(USD, total="10000", tradeable="10000")
            desk = Desk(vault, mark_every=every)
            desk.assign(Swing(0.001, keep), to=vault.sleeve("a", QUIET, allocate="10000"))
            return desk

        return play(Run(make, {}, TAPE, Window(start + warm, start + warm + 90, start), CHEAP))[1]

    hourly, daily = marked(HOUR), marked(DAY)
    assert (hourly.profit, hourly.fees, hourly.fills, hourly.trades) == (daily.profit, daily.fees, daily.fills, daily.trades)
    assert hourly.returns == pytest.approx(daily.returns)
    assert hourly.gain == pytest.approx(float(hourly.profit.decimal) / 10_000)
    assert hourly.drawdown >= daily.drawdown


@settings(max_examples=25)
@given(warm=st.integers(1, 60), keep=st.integers(1, 10), dip=st.sampled_from([0.001, 0.01]))
def test_a_warm_up_is_seen_and_moves_no_money(warm, keep, dip):
    window = Window(60, 160, 60 - warm)
    report, outcome = play(Run(swinging, {"dip": dip, "keep": keep}, TAPE, window, CHEAP))
    assert report.proof.holds
    assert outcome.capital == USD("10000")
    first = min((fill.at for _, fill in report.story.fills), default=TAPE.at[60])
    assert first >= TAPE.at[60], "nothing was filled before the window began"
    assert outcome.fills == len(report.story.fills)
    assert outcome.profit.text == report.rows()[0]["net_profit"]
    changes = [(one.by, one.why) for one in report.desk.books.journal if isinstance(one, Changed) and one.by == BY]
    assert changes == [(BY, "warm-up"), (BY, "the window begins")]


def test_an_engine_is_asked_on_each_row_of_its_warm_up_and_nothing_of_it_counts():
    _, outcome = play(Run(lambda: desk_of(Eager()), {}, TAPE, Window(50, 53, 40), CHEAP))
    assert [now for now, _, _ in Eager.asked] == [TAPE.at[n] + HOUR for n in range(40, 53)]
    assert all((position, free) == (0, USD("10000").units) for _, position, free in Eager.asked[:11])
    assert outcome.refused == 0, "what was refused in the warm-up is not the window's"
    assert outcome.fills == 2, "the wish of the last row finds no row to be filled in"


def test_what_is_refused_in_the_window_counts_with_its_repetitions():
    def poor():
        return desk_of(Eager(), money="150")

    report, outcome = play(Run(poor, {}, tape_of([10_000.0] * 20), Window(10, 20, 4), CHEAP))
    told = [one for one in report.desk.books.journal if isinstance(one, Refusal)]
    assert sum(one.times for one in told if one.reason == "status") == 6
    assert outcome.refused == sum(one.times for one in told if one.reason != "status") == 9
    assert outcome.fills == 1


def test_a_warm_up_leaves_the_memory_that_a_longer_run_would_have():
    class Averages(Swing):
        seen = None

        def begin(self):
            Averages.seen = {"mean": 0.0, "count": 0}
            return Averages.seen

        def decide(self, memory, view):
            memory["mean"] += 0.1 * (view.book.bid - memory["mean"])
            memory["count"] += 1

    play(Run(lambda: desk_of(Averages()), {}, TAPE, Window(100, 120, 30), CHEAP))
    warmed = dict(Averages.seen)
    play(Run(lambda: desk_of(Averages()), {}, TAPE, Window(30, 120), CHEAP))
    assert warmed == Averages.seen


@settings(max_examples=25)
@given(start=st.integers(0, 100), dip=st.sampled_from([0.001, 0.01]), keep=st.integers(1, 30))
def test_the_drawdown_is_the_deepest_fall_of_the_profit_between_any_two_marks(start, dip, keep):
    report, outcome = play(Run(swinging, {"dip": dip, "keep": keep}, TAPE, Window(start, start + 120), CHEAP))
    made = [one.equity - one.paid_in + one.taken_out for one in report.story.sleeves["a"].samples]
    falls = [before - after for n, before in enumerate(made) for after in made[n:]]
    assert outcome.drawdown.units == max(falls)


def test_several_sleeves_count_as_one():
    def two():
        vault = CoreVault(USD, total="20000", tradeable="20000")
        desk = Desk(vault)
        desk.assign(Swing(0.001, 3), to=vault.sleeve("a", QUIET, allocate="8000"))
        desk.assign(Swing(0.01, 6), to=vault.sleeve("b", FLASH, allocate="4000"))
        return desk

    report, outcome = play(Run(two, {}, TAPE, Window(40, 200, 20), CHEAP))
    rows = report.rows()
    assert outcome.capital == USD("12000")
    assert outcome.profit.decimal == sum(Decimal(row["net_profit"]) for row in rows)
    assert outcome.fees.decimal == sum(Decimal(row["fees"]) for row in rows)
    assert outcome.trades == sum(row["trades"] for row in rows)
    assert report.proof.holds


def test_a_vault_that_its_maker_paused_stays_paused():
    def paused():
        desk = swinging()
        desk.pause(desk.treasury.vaults[0], by="owner")
        return desk

    report, outcome = play(Run(paused, {}, TAPE, Window(50, 200, 20), CHEAP))
    assert outcome.fills == 0
    assert outcome.refused > 0
    assert report.proof.holds


def test_nothing_behind_a_window_is_ever_seen():
    seen = []

    class Spy(Swing):
        def decide(self, memory, view):
            seen.append(view.now)

    play(Run(lambda: desk_of(Spy()), {}, TAPE, Window(50, 100, 20), CHEAP, fit=lambda tape: {}, learns=(50, 100)))
    assert (min(seen), max(seen)) == (TAPE.at[21], TAPE.at[100])


def test_what_is_learned_on_is_the_train_window_and_no_row_more():
    shown = []

    def fit(tape, dip):
        shown.append((tape.at[0], tape.at[-1], len(tape), dip))
        return {"keep": 4}

    play(Run(swinging, {"dip": 0.01}, TAPE, Window(120, 140, 100), CHEAP, fit, (10, 90)))
    assert shown == [(TAPE.at[10], TAPE.at[89], 80, 0.01)]


@pytest.mark.parametrize(
    ("make_desk", "says"),
    [
        (lambda: None, "answers with a Desk"),
        (lambda: desk_of, "answers with a Desk"),
        (lambda: Desk(CoreVault(USD, total="1", tradeable="1")), "no asset at all"),
    ],
)
def test_what_is_no_fresh_desk_is_refused(make_desk, says):
    with pytest.raises(VaultError, match=says):
        play(Run(make_desk, {}, TAPE, Window(0, 50), CHEAP))


def test_a_desk_that_has_positions_is_not_fresh():
    def used():
        desk = desk_of(Eager())
        replay(desk, TAPE.slice(0, 3), rules=CHEAP, progress=False, bounds=False)
        return desk

    with pytest.raises(VaultError, match="fresh desk"):
        play(Run(used, {}, TAPE, Window(10, 50), CHEAP))


def test_sleeves_in_several_assets_are_no_one_profit():
    def two():
        usd = CoreVault(USD, total="1000", tradeable="1000")
        btc = CoreVault(BTC, total="1", tradeable="1", books=usd.books)
        usd.sleeve("a", QUIET, allocate="1000")
        btc.sleeve("b", QUIET, allocate="1")
        return Desk(usd, btc)

    with pytest.raises(VaultError, match="BTC, USD"):
        play(Run(two, {}, TAPE, Window(0, 50), CHEAP))


def test_what_fit_answers_with_is_a_mapping():
    with pytest.raises(VaultError, match="mapping"):
        play(Run(swinging, {}, TAPE, Window(10, 50), CHEAP, lambda tape: 3, (0, 10)))


# -- what a run is worth ---------------------------------------------------------------------------------------------------


def scored(objective, make_desk=swinging):
    return try_run(Run(make_desk, {"dip": 0.001, "keep": 3}, TAPE, Window(0, 200), CHEAP, objective=objective))


def test_the_named_objectives_are_what_they_say():
    outcome = scored("profit").outcome
    assert scored("profit").value == float(outcome.profit.decimal)
    assert scored("return").value == outcome.gain
    assert scored("sharpe").value == outcome.sharpe
    assert scored("profit over drawdown").value == pytest.approx(float(outcome.profit.decimal / outcome.drawdown.decimal))
    assert list(OBJECTIVES) == ["profit", "return", "sharpe", "profit over drawdown"]


def test_a_function_is_handed_the_report():
    assert scored(lambda report: report.rows()[0]["fills"]).value == scored("profit").outcome.fills
    assert scored(lambda report: Decimal("1.5")).value == 1.5


@pytest.mark.parametrize("answer", [float("nan"), float("inf"), -float("inf"), Decimal("NaN"), Decimal("Infinity"), 10**400, None])
def test_an_objective_that_is_not_defined_has_no_value(answer):
    one = scored(lambda report: answer)
    assert one.value is None
    assert one.error is None
    assert one.reason


@pytest.mark.parametrize("answer", ["5", 1j, True, [1.0], b"1", USD("5")])
def test_an_objective_that_answers_with_no_number_is_an_error(answer):
    one = scored(lambda report: answer)
    assert one.value is None
    assert isinstance(one.error, InvalidAmount)
    assert "answers with a number or None" in one.reason


def test_a_run_without_a_fill_has_no_value_whatever_the_objective():
    for objective in [*OBJECTIVES, lambda report: 1e9]:
        one = try_run(Run(swinging, {"dip": 0.9, "keep": 3}, TAPE, Window(0, 200), CHEAP, objective=objective))
        assert (one.value, one.reason, one.outcome.profit) == (None, "no fills", USD("0"))


def test_what_raises_is_a_reason_and_no_value():
    def broken(**params):
        raise ZeroDivisionError("by hand")

    assert scored("profit", broken).reason == "ZeroDivisionError: by hand"
    assert scored(lambda report: 1 / 0).reason == "ZeroDivisionError: division by zero"

    class Raises(Swing):
        def decide(self, memory, view):
            raise KeyError("price")

    one = scored("profit", lambda **params: desk_of(Raises()))
    assert "EngineFault" in one.reason and "KeyError" in one.reason
    assert one.outcome is None


@pytest.mark.parametrize("wrong", ["", "Profit", "calmar", None, 5, ["profit"]])
def test_an_objective_that_is_none_is_named(wrong):
    with pytest.raises(VaultError, match="none of profit, return, sharpe"):
        check_objective(wrong)


def test_score_of_rules_that_the_desk_cannot_pay_is_a_reason():
    one = try_run(Run(swinging, {}, TAPE, Window(0, 50), Rules.of(fees=Rules().fees.of("1%", "2%"))))
    assert "more than buys set aside" in one.reason
    assert score("profit", play(Run(swinging, {}, TAPE, Window(0, 50), CHEAP))[1], None)[1] in ("", "no fills")
