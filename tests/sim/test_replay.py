"""A replay is deterministic, its books are exact, and no sleeve feels another."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from decimal import Decimal
from typing import Any

import pytest
from attrs import frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from sleeves import FLASH, QUIET, USD, CoreVault, Desk, Instrument, ProfitPolicy, Sleeve
from sleeves.engines import Trend
from sleeves.errors import EngineFault, VaultError
from sleeves.journal import Memory
from sleeves.ledger import Entry, EntryKind, Role
from sleeves.market import SECOND
from sleeves.money import PPM, Asset
from sleeves.orders import Cancel, Fill, Intent, Place, Side, TimeInForce
from sleeves.protocols import Engine, View
from sleeves.records import Marked, OrderUpdate, Placed, Refusal
from sleeves.report import Report
from sleeves.sim import FeeIn, Fees, Rules, Slippage, Tape, replay
from sleeves.sim.replay import BLOCK, account_of

COIN = Asset("COIN", 8)
MARKET = Instrument("COIN/USD", base=COIN, quote=USD, tick="0.01", lot="0.0001", min_qty="0.001", min_notional="1")
START = 444_445 * 3_600  # on the hour, in seconds
FREE_OF_COST = Rules(Fees(0, 0), Slippage.none())

Bar = tuple[int, int, int, int, int]  # open, high, low, close in cents; volume in whole coins


# -- engines and tapes -----------------------------------------------------------------------------------------------------


@frozen
class Wish:
    """What a scripted engine wishes: how much of what it has, and at which prices, in cents from the last one."""

    side: Side
    percent: int
    limit: int | None = None
    stop: int | None = None
    ioc: bool = False
    post_only: bool = False
    cancel: bool = False

    def intent(self, view: View) -> Intent | None:
        orders = view.orders()
        if self.cancel:
            return Cancel(orders[0].id if orders else "nobody-1")
        price = view.book.mid
        limit = None if self.limit is None else max(1, price + self.limit)
        stop = None if self.stop is None else max(1, price + self.stop)
        if self.side is Side.BUY:
            at_most = limit or (stop or price) * 1_006 // 1_000
            qty = MARKET.affordable(view.free() * self.percent // 100, at_most, 4_000)
        else:
            qty = MARKET.round_qty(view.position(MARKET) * self.percent // 100)
        if not qty:
            return None
        tif = TimeInForce.IOC if self.ioc else TimeInForce.GTC
        post_only = self.post_only and limit is not None and stop is None and not self.ioc
        return Place(MARKET, self.side, qty, limit=limit, stop=stop, tif=tif, post_only=post_only)


@frozen
class Scripted:
    """Wishes by the number of the decision, and none after the last."""

    plan: tuple[tuple[Wish, ...], ...]
    name: str = "scripted"
    watches: tuple[Instrument, ...] = (MARKET,)
    every: int = 0

    def begin(self) -> list[int]:
        return [0]

    def decide(self, memory: list[int], view: View) -> Iterable[Intent] | None:
        memory[0] += 1
        if memory[0] > len(self.plan):
            return None
        intents = [wish.intent(view) for wish in self.plan[memory[0] - 1]]
        return [intent for intent in intents if intent is not None]


BUY_ALL = Wish(Side.BUY, 100)
SELL_ALL = Wish(Side.SELL, 100)


def tape_of(bars: Sequence[Bar], *, volume: bool = True, step: int = 60, instrument: Instrument = MARKET) -> Tape:
    return Tape.from_columns(
        instrument,
        ts=[START + step * row for row in range(len(bars))],
        **{name: [Decimal(bar[place]).scaleb(-2) for bar in bars] for place, name in enumerate(("open", "high", "low", "close"))},
        volume=[bar[4] for bar in bars] if volume else None,
        name="bars",
    )


def flat(*closes: int) -> list[Bar]:
    """Bars of one price each."""
    return [(close, close, close, close, 1_000) for close in closes]


moves = st.tuples(st.integers(-300, 300), st.integers(0, 200), st.integers(0, 200), st.integers(-300, 300), st.integers(0, 60))


@st.composite
def tapes(draw: st.DrawFn, most: int = 14) -> Tape:
    """A market around 100.00 with gaps, in bars of a few percent."""
    price, bars = 10_000, []
    for gap, up, down, move, volume in draw(st.lists(moves, min_size=1, max_size=most)):
        open_ = max(100, price + gap)
        price = max(100, open_ + move)
        bars.append((open_, max(open_, price) + up, max(50, min(open_, price) - down), price, volume))
    return tape_of(bars, volume=draw(st.booleans()), step=draw(st.sampled_from([60, 3600])))


offsets = st.none() | st.integers(-300, 300)
wishes = st.one_of(
    st.builds(Wish, st.sampled_from(Side), st.sampled_from([30, 100, 100, 130])),
    st.builds(Wish, st.sampled_from(Side), st.integers(1, 120), offsets, offsets, st.booleans(), st.booleans()),
    st.just(Wish(Side.BUY, 0, cancel=True)),
)
engines = st.builds(Scripted, st.lists(st.lists(wishes, max_size=2).map(tuple), max_size=14).map(tuple))
fee_rates = st.integers(0, 4_000)
fair_rules = st.builds(
    Rules,
    st.builds(Fees, fee_rates, fee_rates, st.sampled_from(FeeIn)),
    st.sampled_from([Slippage.none(), Slippage(1_000, 3_000, "5000")]),
)
all_rules = st.builds(
    Rules,
    st.builds(Fees, st.integers(-500, 4_000), fee_rates, st.sampled_from(FeeIn)),
    st.sampled_from([Slippage.none(), Slippage(1_000, 3_000, "5000")]),
    st.sampled_from([None, 100_000, PPM]),
)


def desk_of(*, self_trade: str = "refuse", **engines: Engine[Any] | None) -> Desk:
    """A desk over 20,000 coins, half at risk: the sleeve `flash` sweeps, others keep; each has 2,500."""
    vault = CoreVault(USD, total="20000", tradeable="10000", reserve="10%")
    desk = Desk(vault, self_trade=self_trade)
    for name, engine in engines.items():
        sleeve = vault.sleeve(name, FLASH if name.startswith("flash") else QUIET, allocate="2500")
        if engine is not None:
            desk.assign(engine, to=sleeve)
    return desk


def vault_of(desk: Desk) -> CoreVault:
    return desk.treasury["USD"]


def sleeve_of(desk: Desk, name: str) -> Sleeve:
    return vault_of(desk).sleeves[name]


def lines_of(desk: Desk) -> list[str]:
    assert isinstance(desk.books.journal, Memory)
    return list(desk.books.journal.lines())


def run(desk: Desk, tape: Tape, rules: Rules | None = None) -> Report:
    return replay(desk, tape, rules=rules, progress=False)


def fills_of(desk: Desk) -> list[Fill]:
    return [record for record in desk.books.journal if isinstance(record, Fill)]


# -- laws ------------------------------------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(tapes(), engines, engines, all_rules)
def test_the_same_run_writes_the_same_journal_byte_for_byte(tape: Tape, one: Scripted, other: Scripted, rules: Rules) -> None:
    first, second = desk_of(quiet=one, flash=other), desk_of(quiet=one, flash=other)
    assert str(run(first, tape, rules)) == str(run(second, tape, rules))
    assert lines_of(first) == lines_of(second)


@settings(max_examples=120)
@given(tapes(), engines, engines, all_rules)
def test_all_laws_hold_after_any_run_and_the_books_are_what_the_venue_has(tape: Tape, one: Scripted, other: Scripted, rules: Rules) -> None:
    desk = desk_of(quiet=one, flash=other)
    report = run(desk, tape, rules)
    assert report.holdings is not None
    desk.check(report.holdings, deep=True).require()
    assert report.proof.holds
    again = Memory.read(lines_of(desk))
    assert list(again.lines()) == lines_of(desk)


@settings(max_examples=120)
@given(tapes(), engines, engines, all_rules)
def test_no_order_of_an_engine_can_overdraw_its_sleeve(tape: Tape, one: Scripted, other: Scripted, rules: Rules) -> None:
    """What a hold covers is what its fills may cost, to the last unit: no alert, no sleeve that had to be stopped."""
    desk = desk_of(quiet=one, flash=other)
    report = run(desk, tape, rules)
    assert [alert.text for alert in report.story.alerts] == []
    assert all(sleeve.status == "active" for sleeve in vault_of(desk).sleeves.values())


@settings(max_examples=60)
@given(tapes(), engines, all_rules)
def test_a_hold_lasts_as_long_as_its_order(tape: Tape, engine: Scripted, rules: Rules) -> None:
    desk = desk_of(quiet=engine)
    run(desk, tape, rules)
    open_orders: dict[str, int] = {}
    for record in desk.books.journal:
        if isinstance(record, Placed):
            open_orders[record.order.id] = record.order.place.qty
        elif isinstance(record, Fill):
            open_orders[record.order_id] -= record.qty
        elif isinstance(record, OrderUpdate) and record.status.done:
            del open_orders[record.order_id]
    still_open = {order_id for order_id, left in open_orders.items() if left}
    held = {account.of for account, amount in desk.books.ledger.accounts("quiet") if account.role is Role.HELD and amount.units}
    assert held == still_open


@settings(max_examples=100)
@given(tapes(), engines, all_rules)
def test_whenever_flash_is_flat_its_profit_goes_back_to_tradeable_to_the_unit(tape: Tape, engine: Scripted, rules: Rules) -> None:
    desk = desk_of(flash=engine)
    run(desk, tape, rules)
    allocation = USD("2500").units
    free = held = deployed = position = swept = 0
    due = False
    for entry in (record for record in desk.books.journal if isinstance(record, Entry)):
        assert entry.kind is EntryKind.SWEEP or not due, "flat, with no order open, and it kept its profit"
        if entry.kind is EntryKind.SWEEP:
            (amount,) = [units for (_, role, _), _, units in entry.postings if role is Role.TRADEABLE]
            assert position < MARKET.min_qty_units
            assert amount == min(free + held + deployed - allocation, free)
            swept += amount
        for (owner, role, _), asset, units in entry.postings:
            if owner == "flash" and asset == USD:
                free += units if role is Role.FREE else 0
                held += units if role is Role.HELD else 0
                deployed += units if role is Role.TRADING else 0
            elif owner == "flash" and role is Role.TRADING:
                position -= units
        flat_now = position < MARKET.min_qty_units and not held and entry.kind in (EntryKind.FILL, EntryKind.RELEASE)
        due = flat_now and free + deployed > allocation
    assert not due
    sleeve = sleeve_of(desk, "flash")
    assert sleeve.returned == USD.units(swept)
    assert sleeve.allocation == USD("2500")
    assert vault_of(desk).tradeable == USD("10000") + USD.units(swept)


@settings(max_examples=60)
@given(tapes(), engines, all_rules)
def test_quiet_never_sweeps(tape: Tape, engine: Scripted, rules: Rules) -> None:
    desk = desk_of(quiet=engine)
    run(desk, tape, rules)
    assert not [r for r in desk.books.journal if isinstance(r, Entry) and r.kind is EntryKind.SWEEP]
    assert vault_of(desk).tradeable == USD("10000")
    assert sleeve_of(desk, "quiet").returned == USD.zero


def postings_of(desk: Desk, sleeve: str) -> list[tuple[Any, ...]]:
    """All that happened to a sleeve's money. The venue's trade numbers, which count all its customers, aside."""
    return [
        (entry.at, entry.kind, entry.by, entry.postings, entry.why)
        for entry in desk.books.journal
        if isinstance(entry, Entry) and any(posting.account.owner == sleeve for posting in entry.postings)
    ]


@settings(max_examples=80)
@given(tapes(), engines, engines, fair_rules)
def test_a_sleeve_does_not_feel_what_its_neighbour_does(tape: Tape, one: Scripted, other: Scripted, rules: Rules) -> None:
    """Take a sleeve's engine out of the run, and not one posting of the other sleeve changes.

    The one way to feel a neighbour is the self-trade guard, which is off here; `tests/test_inside.py` has it.
    """
    both, alone = desk_of(self_trade="allow", flash=one, quiet=other), desk_of(self_trade="allow", flash=one, quiet=None)
    run(both, tape, rules)
    run(alone, tape, rules)
    assert postings_of(both, "flash") == postings_of(alone, "flash")
    other_alone = desk_of(self_trade="allow", flash=None, quiet=other)
    run(other_alone, tape, rules)
    assert postings_of(both, "quiet") == postings_of(other_alone, "quiet")


@settings(max_examples=60)
@given(tapes(), engines, fair_rules)
def test_two_sleeves_with_one_engine_do_the_same(tape: Tape, engine: Scripted, rules: Rules) -> None:
    desk = desk_of(quiet=engine, other=engine)
    run(desk, tape, rules)
    one, other = sleeve_of(desk, "quiet"), sleeve_of(desk, "other")
    for figure in ("balance", "free", "held", "deployed", "realized", "fees"):
        assert getattr(one, figure) == getattr(other, figure)
    assert one.positions() == other.positions()


@settings(max_examples=60)
@given(tapes(), engines, all_rules, st.data())
def test_what_comes_later_on_the_tape_changes_nothing_before_it(tape: Tape, engine: Scripted, rules: Rules, data: st.DataObject) -> None:
    """No look-ahead: what a run did on a shorter tape is the beginning of what it does on the longer one.

    Marks and counts of repeated refusals, which the end of a tape brings to paper, aside.
    """
    cut = tape.slice(0, data.draw(st.integers(1, len(tape))))
    done = []
    for some in (cut, tape):
        desk = desk_of(quiet=engine)
        run(desk, some, rules)
        done.append([record for record in desk.books.journal if not isinstance(record, Marked | Refusal)])
    assert done[0] == done[1][: len(done[0])]


# -- figures ---------------------------------------------------------------------------------------------------------------


def test_an_order_is_decided_at_a_close_and_filled_at_the_next_open() -> None:
    desk = desk_of(quiet=Scripted(((), (Wish(Side.BUY, 50),), (), (SELL_ALL,))))
    bars = [(9_000, 9_900, 8_000, 9_100, 50), (9_200, 10_300, 9_000, 10_000, 50), (10_050, 12_000, 9_000, 11_000, 50)]
    run(desk, tape_of([*bars, *flat(12_000, 13_000)]), FREE_OF_COST)
    buy, sale = fills_of(desk)
    assert (buy.price, buy.at) == (10_050, (START + 120) * SECOND)
    assert (sale.price, sale.at) == (13_000, (START + 240) * SECOND)


def test_engines_see_each_close_at_the_end_of_its_bar() -> None:
    seen = []

    class Watcher(Scripted):
        def decide(self, memory: list[int], view: View) -> None:
            seen.append((view.now, view.book.at, view.book.bid, view.book.ask))

    run(desk_of(quiet=Watcher(())), tape_of([(1, 9, 1, 5, 0), (5, 8, 2, 7, 0)]))
    assert seen == [(at * SECOND, at * SECOND, price, price) for at, price in ((START + 60, 5), (START + 120, 7))]


@pytest.mark.parametrize(
    ("policy", "kept", "swept"),
    [(FLASH, "0", "247.518"), (QUIET, "247.518", "0"), (FLASH.share("50%"), "123.759", "123.759")],
)
def test_a_round_trip_to_the_cent(policy: ProfitPolicy, kept: str, swept: str) -> None:
    """24.7518 coins bought at 100 and sold at 110, without costs."""
    vault = CoreVault(USD, total="10000", tradeable="5000")
    sleeve = vault.sleeve("one", policy, allocate="2500")
    desk = Desk(vault)
    desk.assign(Scripted(((BUY_ALL,), (SELL_ALL,))), to=sleeve)
    run(desk, tape_of(flat(10_000, 10_000, 11_000)), FREE_OF_COST)
    assert {COIN.units(fill.qty) for fill in fills_of(desk)} == {COIN("24.7518")}
    assert sleeve.realized == USD("247.518")
    assert sleeve.balance == USD("2500") + USD(kept)
    assert sleeve.returned == USD(swept)
    assert vault.tradeable == USD("5000") + USD(swept)
    assert vault.total == USD("10247.518")


@pytest.mark.parametrize("volume", [True, False])
def test_a_volume_that_is_not_known_limits_nothing(volume: bool) -> None:
    """With 1 coin a bar, a tenth of it may be taken; where the tape has no volume, all."""
    bars = [(10_000, 10_000, 10_000, 10_000, 1)] * 4
    desk = desk_of(quiet=Scripted(((BUY_ALL,),)))
    run(desk, tape_of(bars, volume=volume), Rules(Fees(0, 0), Slippage.none(), 100_000))
    parts = [COIN.units(fill.qty) for fill in fills_of(desk)]
    if volume:
        assert parts == [COIN("0.1")] * 3
    else:
        assert len(parts) == 1
        assert parts[0] > COIN("24")


@pytest.mark.parametrize(
    ("wish", "bar", "filled"),
    [
        (Wish(Side.SELL, 100, stop=-100), (10_000, 10_000, 9_900, 10_000, 9), (9_900, 15)),  # touched
        (Wish(Side.SELL, 100, stop=-101), (10_000, 10_000, 9_900, 10_000, 9), None),
        (Wish(Side.BUY, 100, stop=100), (10_000, 10_100, 10_000, 10_000, 9), (10_100, 30)),
        (Wish(Side.BUY, 100, stop=101), (10_000, 10_100, 10_000, 10_000, 9), None),
        (Wish(Side.SELL, 100, limit=100), (10_000, 10_101, 10_000, 10_000, 9), (10_100, 30)),  # gone through
        (Wish(Side.SELL, 100, limit=100), (10_000, 10_100, 10_000, 10_000, 9), None),
        (Wish(Side.BUY, 100, limit=-100), (10_000, 10_000, 9_899, 10_000, 9), (9_900, 15)),
        (Wish(Side.BUY, 100, limit=-100), (10_000, 10_000, 9_900, 10_000, 9), None),
    ],
)
def test_a_resting_order_is_reached_after_any_number_of_bars_that_do_not_reach_it(
    wish: Wish, bar: Bar, filled: tuple[int, int] | None
) -> None:
    """The price, and the second of the bar."""
    first = () if wish.side is Side.BUY else (BUY_ALL,)
    desk = desk_of(quiet=Scripted((first, (), (wish,))))
    run(desk, tape_of([*flat(*[10_000] * 20), bar, *flat(10_000)]), FREE_OF_COST)
    found = [(fill.price, fill.at // SECOND - START - 20 * 60) for fill in fills_of(desk)[len(first) :]]
    assert found == ([] if filled is None else [filled])


def test_what_happens_within_a_bar_that_the_next_one_cut_short_happens_before_its_end() -> None:
    """A bar of ten seconds on a tape of minutes: the stop at its low goes off before its end, where the engine sees it gone."""
    ts = [START + second for second in (0, 60, 120, 180, 190, 250)]
    lows = [100, 100, 100, 98, 100, 100]
    tape = Tape.from_columns(MARKET, ts=ts, open=[100] * 6, high=[100] * 6, low=lows, close=[100, 100, 100, 98, 100, 100])
    desk = desk_of(quiet=Scripted(((BUY_ALL,), (), (Wish(Side.SELL, 100, stop=-100),))))
    run(desk, tape, FREE_OF_COST)
    sale = fills_of(desk)[-1]
    assert (sale.side, sale.price) == (Side.SELL, 9_900)
    assert ts[3] * SECOND < sale.at <= ts[4] * SECOND


def test_a_first_order_that_is_post_only_and_would_take_is_rejected() -> None:
    """The venue knows the last price also while nobody had an order there."""
    desk = desk_of(quiet=Scripted(((), (), (Wish(Side.BUY, 100, limit=100, post_only=True),))))
    run(desk, tape_of(flat(10_000, 10_000, 10_000, 10_000)))
    assert [(r.status.value, r.reason) for r in desk.books.journal if isinstance(r, OrderUpdate)] == [
        ("rejected", "post only order would take")
    ]
    assert sleeve_of(desk, "quiet").free == USD("2500")


def test_what_is_bought_after_a_kill_is_sold_again() -> None:
    """A limit order that was open when its sleeve was killed, and whose cancel got lost, is filled: the desk sells what it brought."""
    desk = desk_of(quiet=Scripted(((Wish(Side.BUY, 50, limit=-100),),)))
    bars = flat(*[10_000] * BLOCK, 10_000, 9_800, 9_800, 9_800)

    def between(rows: int) -> None:
        if rows == BLOCK:
            (lost,) = desk.kill(sleeve_of(desk, "quiet"), flatten=True, by="test")
            assert lost.order.id == "quiet-1"

    report = replay(desk, tape_of(bars), rules=FREE_OF_COST, progress=between)
    assert [fill.order_id for fill in fills_of(desk)] == ["quiet-1", "quiet-2"]
    assert sleeve_of(desk, "quiet").positions() == {}
    assert report.proof.holds


@pytest.mark.parametrize("steps", [(60, 60, 60, 60), (60, 60, 30, 60), (60, 60, 1, 60), (60, 60, 600, 60)])
def test_nothing_is_filled_before_it_was_decided(steps: tuple[int, ...]) -> None:
    """Also on a tape whose bars do not keep their distance: a bar that opens before the last one closed is no later price."""
    ts = [START]
    for step in steps:
        ts.append(ts[-1] + step)
    prices = [100] * 5
    tape = Tape.from_columns(MARKET, ts=ts, open=prices, high=prices, low=prices, close=prices)
    desk = desk_of(quiet=Scripted(((BUY_ALL,), (), (SELL_ALL,))))
    run(desk, tape, FREE_OF_COST)
    placed = {record.order.id: record.at for record in desk.books.journal if isinstance(record, Placed)}
    assert len(fills_of(desk)) == 2
    assert all(fill.at >= placed[fill.order_id] for fill in fills_of(desk))
    assert [fill.at for fill in fills_of(desk)] == sorted(fill.at for fill in fills_of(desk))


def test_one_bar_is_enough_and_leaves_an_order_waiting() -> None:
    desk = desk_of(quiet=Scripted(((BUY_ALL,),)))
    report = run(desk, tape_of(flat(10_000)))
    assert not fills_of(desk)
    assert sleeve_of(desk, "quiet").held > USD("2400")
    assert report.proof.holds
    assert report.rows()[0]["sleeve"] == "quiet"


def test_a_desk_without_engines_is_marked_and_nothing_else() -> None:
    desk = desk_of(quiet=None)
    before = len(desk.books.journal)
    run(desk, tape_of(flat(10_000, 10_100)))
    added = list(desk.books.journal)[before:]
    assert [type(record).__name__ for record in added] == ["Opened", "Marked", "Marked"]


def test_a_second_tape_goes_on_where_the_first_one_ended() -> None:
    desk = desk_of(flash=Scripted(((BUY_ALL,), (), (), (SELL_ALL,))))
    tape = tape_of(flat(10_000, 10_000, 10_500, 11_000, 12_000))
    first = run(desk, tape.slice(0, 3), FREE_OF_COST)
    assert first.holdings == account_of(desk)
    assert first.holdings["COIN"] > COIN("24")
    report = run(desk, tape.slice(3), FREE_OF_COST)
    assert sleeve_of(desk, "flash").returned > USD("490")
    assert report.holdings == account_of(desk)
    assert report.proof.holds


def test_marks_come_every_hour_and_at_the_end() -> None:
    desk = desk_of(quiet=None)
    run(desk, tape_of(flat(*range(10_000, 10_150)), step=60))
    marks = [record.at // SECOND - START for record in desk.books.journal if isinstance(record, Marked)]
    assert marks == [60, 3_600, 7_200, 9_000]


def test_the_sample_runs_to_a_proven_report() -> None:
    tape = Tape.sample().slice(0, 1_500)
    vault = CoreVault(USD, total="100000", tradeable="60000")
    desk = Desk(vault)
    desk.assign(Trend.quiet(tape.instrument), to=vault.sleeve("quiet", QUIET, allocate="20000"))
    desk.assign(Trend.flash(tape.instrument), to=vault.sleeve("flash", FLASH, allocate="20000"))
    report = run(desk, tape)
    assert report.proof.holds
    assert {row["sleeve"]: row["trades"] > 0 for row in report.rows()} == {"quiet": True, "flash": True}
    assert vault.tradeable == USD("60000") + vault.sleeves["flash"].returned
    assert "books: exact to the unit and equal the venue's balances" in str(report)


# -- an engine that raises -------------------------------------------------------------------------------------------------


class Faulty(Scripted):
    """Raises at its third decision."""

    def decide(self, memory: list[int], view: View) -> Iterable[Intent] | None:
        found = super().decide(memory, view)
        if memory[0] == 3:
            raise ZeroDivisionError("by nothing")
        return found


@pytest.mark.parametrize("rows", [4, 12, BLOCK + 2])
def test_an_engine_that_raises_ends_the_run_with_its_own_error_and_sound_books(rows: int) -> None:
    good, bad = Scripted(((BUY_ALL,), (), (), (), (SELL_ALL,))), Faulty(((BUY_ALL,), ()))
    desk = desk_of(good=good, bad=bad)
    with pytest.raises(EngineFault, match="sleeve bad raised ZeroDivisionError: by nothing") as fault:
        run(desk, tape_of(flat(*[10_000] * rows)), FREE_OF_COST)
    assert isinstance(fault.value.__cause__, ZeroDivisionError)
    assert desk.check(account_of(desk), deep=True).holds
    assert sleeve_of(desk, "bad").status == "close_only"
    assert sleeve_of(desk, "good").status == "active"
    # the other sleeve's books are those of a run without the faulty one
    alone = desk_of(good=good, bad=None)
    run(alone, tape_of(flat(*[10_000] * min(rows, BLOCK))), FREE_OF_COST)
    assert postings_of(desk, "good") == postings_of(alone, "good")


@pytest.mark.parametrize("wish", ["buy", 7, Side.BUY, (Wish(Side.BUY, 1),)])
def test_an_engine_that_wishes_nonsense_is_at_fault(wish: object) -> None:
    class Nonsense(Scripted):
        def decide(self, memory: list[int], view: View) -> Any:
            return [wish]

    with pytest.raises(EngineFault, match="neither a Place, a Bundle nor a Cancel"):
        run(desk_of(quiet=Nonsense(())), tape_of(flat(10_000)))


def test_an_engine_of_another_market_is_never_asked() -> None:
    elsewhere = Instrument("OTHER/USD", base=Asset("OTHER", 8), quote=USD)
    desk = desk_of(quiet=Faulty((), watches=(elsewhere,)))
    run(desk, tape_of(flat(*[10_000] * 5)))
    assert desk.faults == []


def test_an_order_for_a_market_that_is_not_on_the_tape_is_refused() -> None:
    elsewhere = Instrument("OTHER/USD", base=Asset("OTHER", 8), quote=USD)

    class Stray(Scripted):
        def decide(self, memory: list[int], view: View) -> Iterable[Intent]:
            return [Place(elsewhere, Side.BUY, 10**8, limit=100)]

    desk = desk_of(quiet=Stray(()))
    report = run(desk, tape_of(flat(10_000, 10_000)))
    assert report.story.sleeves["quiet"].refusals == {"no_price": 2}


def test_a_tape_on_other_terms_than_the_desk_knows_is_refused() -> None:
    desk = desk_of(quiet=Scripted(()))
    finer = Instrument("COIN/USD", base=COIN, quote=USD, tick="0.001", lot="0.0001")
    with pytest.raises(VaultError, match="other terms"):
        run(desk, tape_of(flat(10_000), instrument=finer))


def test_a_desk_that_has_lived_beyond_the_tapes_begin_is_refused() -> None:
    tape = tape_of(flat(10_000, 10_000))
    for late, refused in ((0, False), (1, True)):
        desk = desk_of(quiet=Scripted(()))
        sleeve_of(desk, "quiet").pause(at=tape.at[0] + late)
        records = len(desk.books.journal)
        if refused:
            with pytest.raises(VaultError, match="begins before that"):
                run(desk, tape)
            assert len(desk.books.journal) == records
        else:
            assert run(desk, tape).proof.holds


def test_a_desk_with_orders_at_another_venue_is_refused() -> None:
    desk = desk_of(quiet=Scripted(((BUY_ALL,),)))
    run(desk, tape_of(flat(10_000)))
    later = tape_of(flat(10_000, 10_000)).slice(1)
    with pytest.raises(VaultError, match=r"open orders .* quiet-1"):
        run(desk, later)


# -- progress and housekeeping ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "calls"),
    [
        (1, [1]),
        (BLOCK - 1, [BLOCK - 1]),
        (BLOCK, [BLOCK]),
        (BLOCK + 1, [BLOCK, 1]),
        (2 * BLOCK + 7, [BLOCK, BLOCK, 7]),
    ],
)
def test_progress_is_told_in_rows_done_since_the_last_call(rows: int, calls: list[int]) -> None:
    told: list[int] = []
    replay(desk_of(quiet=None), tape_of(flat(*[10_000] * rows)), progress=told.append)
    assert told == calls


def test_a_run_over_many_blocks_fills_across_their_borders() -> None:
    wait = ((),) * (BLOCK - 1)
    desk = desk_of(quiet=Scripted((*wait, (BUY_ALL,), (SELL_ALL,))))
    report = run(desk, tape_of(flat(*[10_000] * (BLOCK + 5))), FREE_OF_COST)
    assert [fill.at // SECOND - START for fill in fills_of(desk)] == [BLOCK * 60, (BLOCK + 1) * 60]
    assert report.proof.holds


def test_without_progress_nothing_is_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    run(desk_of(quiet=None), tape_of(flat(10_000)))
    assert capsys.readouterr() == ("", "")


def test_a_bar_is_drawn_when_it_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    replay(desk_of(quiet=None), tape_of(flat(10_000, 10_000)), progress=True)
    assert "rows" in capsys.readouterr().err


@pytest.mark.parametrize("engine", [Scripted(()), Faulty(())])
def test_the_garbage_collector_is_left_as_it_was_found(engine: Scripted) -> None:
    before = gc.get_threshold()
    gc.set_threshold(701, 11, 12)
    try:
        with nullcontext() if type(engine) is Scripted else pytest.raises(EngineFault):
            run(desk_of(quiet=engine), tape_of(flat(*[10_000] * 4)))
        assert gc.get_threshold() == (701, 11, 12)
    finally:
        gc.set_threshold(*before)


# -- the last unit ---------------------------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(st.integers(90_000_00, 110_000_00), st.integers(1_000_000, 3_000_000_000))
def test_a_sleeve_that_spends_all_it_has_at_its_limit_is_not_overdrawn(price: int, money: int) -> None:
    """The hold of a buy covers its cost and its fee, each rounded up as they will be charged."""
    fine = Instrument("COIN/USD", base=Asset("COIN", 12), quote=USD, tick="0.01", lot="0.000000000001")

    @frozen
    class AllIn:
        name: str = "all-in"
        watches: tuple[Instrument, ...] = (fine,)
        every: int = 0

        def begin(self) -> None:
            return None

        def decide(self, memory: None, view: View) -> Iterable[Intent] | None:
            if view.orders() or view.position(fine):
                return None
            qty = fine.affordable(view.free(), view.book.ask, 4_000)
            while (view.hold(Place(fine, Side.BUY, qty, limit=view.book.ask)) or 0) > view.free():
                qty -= 1  # as many coins as their hold allows
            return [Place(fine, Side.BUY, qty, limit=view.book.ask)]

    vault = CoreVault(USD, total="10000", tradeable="10000")
    sleeve = vault.sleeve("all", QUIET, allocate=USD.units(money))
    desk = Desk(vault)
    desk.assign(AllIn(), to=sleeve)
    report = run(desk, tape_of(flat(price, price, price), instrument=fine), Rules(Fees(4_000, 4_000), Slippage.none()))
    assert len(fills_of(desk)) == 1
    assert report.story.alerts == []
    assert sleeve.free >= USD.zero


def test_an_engine_without_a_repr_of_its_own_writes_the_same_journal_too() -> None:
    """A plain class, as the tutorial writes one: where it lies in memory is nobody's business."""

    class Plain:
        name = "plain"
        watches = (MARKET,)
        every = 0

        def begin(self) -> None:
            return None

        def decide(self, memory: None, view: View) -> None:
            return None

    one, other = desk_of(quiet=Plain()), desk_of(quiet=Plain())
    run(one, tape_of(flat(10_000)))
    run(other, tape_of(flat(10_000)))
    assert lines_of(one) == lines_of(other)
