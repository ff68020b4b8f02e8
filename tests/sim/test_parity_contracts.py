"""The parity law for contracts and pools: through `trade` and through `replay` the same journal, whatever the venue does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

import anyio
import pytest
from attrs import frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from sleeves import FLASH, QUIET, SOL, USDC, Cancel, CoreVault, Desk, Instrument, Place, Side
from sleeves.facts import FundingPaid, Liquidated, Settled
from sleeves.live import trade
from sleeves.margin import Weights
from sleeves.market import HOUR, SECOND, FundingRate, Kind, Perpetual
from sleeves.orders import Fill, Intent, TimeInForce
from sleeves.protocols import View
from sleeves.records import Alert
from sleeves.sim import (
    ConstantProduct,
    Depth,
    Fees,
    Latency,
    Maker,
    Rules,
    Settles,
    Slippage,
    SquareRoot,
    Tape,
    VirtualDriver,
    account_of,
    replay,
)

SPOT = Instrument("SOL/USDC", base=SOL, quote=USDC, tick="0.01", lot="0.01", min_qty="0.01")
TERMS = Perpetual(imf=200, funding_every=HOUR)
PERP = Instrument("SOL-PERP", base=SOL, quote=USDC, tick="0.01", lot="0.01", min_qty="0.01", kind=Kind.PERP, contract=TERMS)
START = 1_700_000_000


@frozen
class Wish:
    market: Instrument
    side: Side
    percent: int
    limit: int | None = None
    reduce_only: bool = False
    ioc: bool = False
    cancel: bool = False

    def intent(self, view: View) -> Intent | None:
        if self.cancel:
            return Cancel(view.orders()[0].id) if view.orders() else None
        book = view.book_of(self.market)
        if book is None:
            return None
        probe = Place(self.market, self.side, 1)
        if self.reduce_only and self.market is PERP:
            most = view.closable(probe)
        elif self.market is PERP or self.side is Side.BUY:
            most = view.affordable(self.market)
        else:
            most = view.position(self.market)
        qty = self.market.round_qty(most * self.percent // 100)
        if qty <= 0:
            return None
        limit = None if self.limit is None else max(1, book.mid + self.limit)
        reduce = self.reduce_only and self.market is PERP
        return Place(self.market, self.side, qty, limit=limit, reduce_only=reduce, tif=TimeInForce.IOC if self.ioc else TimeInForce.GTC)


@frozen
class Scripted:
    plan: tuple[tuple[Wish, ...], ...]
    watches: tuple[Instrument, ...] = (PERP,)
    name: str = "scripted"
    every: int = 0

    def begin(self) -> list[int]:
        return [0]

    def decide(self, memory: list[int], view: View) -> Iterable[Intent] | None:
        memory[0] += 1
        if memory[0] > len(self.plan):
            return None
        return [intent for wish in self.plan[memory[0] - 1] if (intent := wish.intent(view)) is not None]


moves = st.tuples(*[st.integers(-600, 600)] * 2, *[st.integers(0, 400)] * 2, st.integers(0, 90))


@st.composite
def tapes(draw: st.DrawFn, market: Instrument, rows: int | None = None) -> Tape:
    """A market around 100.00 with gaps and bars of several percent: enough to break ten times leverage."""
    price, columns = 10_000, {name: [] for name in ("open", "high", "low", "close")}
    steps = draw(st.lists(moves, min_size=rows or 1, max_size=rows or 12))
    volume = []
    for gap, move, up, down, traded in steps:
        open_ = max(100, price + gap // 3)
        price = max(100, open_ + move)
        bar = (open_, max(open_, price) + up, max(50, min(open_, price) - down), price)
        for column, value in zip(columns.values(), bar, strict=True):
            column.append(Decimal(value).scaleb(-2))
        volume.append(traded)
    tape = Tape.from_columns(market, ts=[START + 3600 * i for i in range(len(steps))], volume=volume, **columns)
    if len(steps) < 2:
        return tape
    if market.contract is not None:
        rates = draw(st.lists(st.integers(-3_000_000, 3_000_000), max_size=len(steps)))
        at = [(START + 1800 * (i + 1)) * SECOND for i in range(len(rates))]
        tape = tape.with_funding([FundingRate(market, when, rate, 10_000, HOUR) for when, rate in zip(at, rates, strict=True)])
    if draw(st.booleans()):
        levels = ((9_990, SOL("3").units), (9_900, SOL("300").units)), ((10_010, SOL("2").units), (10_100, SOL("300").units))
        tape = tape.with_depth([Depth((START + 3600) * SECOND, *levels)])
    return tape


def wishes(*markets: Instrument) -> st.SearchStrategy[Wish]:
    return st.one_of(
        st.builds(Wish, st.sampled_from(markets), st.sampled_from(Side), st.sampled_from([30, 95, 130])),
        st.builds(
            Wish,
            st.sampled_from(markets),
            st.sampled_from(Side),
            st.integers(1, 120),
            st.none() | st.integers(-300, 300),
            st.booleans(),
            st.booleans(),
            st.sampled_from([False, False, False, True]),
        ),
    )


def engines(*markets: Instrument) -> st.SearchStrategy[Scripted]:
    plans = st.lists(st.lists(wishes(*markets), max_size=2).map(tuple), max_size=14).map(tuple)
    return st.builds(Scripted, plans, st.just(markets))


rules = st.builds(
    Rules,
    st.builds(Fees, st.integers(-500, 4_000), st.integers(0, 4_000)),
    st.sampled_from([Slippage.none(), Slippage(), SquareRoot(300, 10_000, "1000000")]),
    st.sampled_from([None, None, 200_000]),
    st.builds(Latency, st.sampled_from([0, 0, 1_000 * SECOND]), st.sampled_from([0, 10 * SECOND])),
    st.sampled_from(Maker),
    st.none(),
    st.sampled_from(Settles),
    st.sampled_from([100_000, 50_000]),
    st.sampled_from([0, 200]),
    st.sampled_from([(), ((SOL, Weights(8_000, 9_000, 12_000, 11_000)),)]),
)
pool_rules = st.builds(Rules, pool=st.just(ConstantProduct(SOL("5000").units, USDC("500000").units, 3_000)))


def desk_of(one: Scripted, other: Scripted, total: str = "2000") -> Desk:
    vault = CoreVault(USDC, total=total, tradeable="2000")
    desk = Desk(vault)
    desk.assign(one, to=vault.sleeve("quiet", QUIET, allocate="1000"))
    desk.assign(other, to=vault.sleeve("flash", FLASH, allocate="1000"))
    return desk


def lines_of(desk: Desk) -> list[str]:
    return list(desk.books.journal.lines())


def check(one: Scripted, other: Scripted, played: Sequence[Tape], venue_rules: Rules | dict[str, Rules], backend: str) -> Desk:
    replayed, traded = desk_of(one, other), desk_of(one, other)
    report = replay(replayed, list(played), rules=venue_rules, progress=False, bounds=False)
    venue = VirtualDriver(played, account_of(traded), venue_rules)
    anyio.run(trade, traded, venue, backend=backend)
    assert lines_of(replayed) == lines_of(traded)
    assert report.holdings == venue.exchange.balances()
    assert report.positions == venue.exchange.positions()
    assert report.proof.holds, str(report.proof)
    for name in ("quiet", "flash"):
        assert report.explain(name).exact or replayed.treasury.vaults[0].sleeves[name].positions()
    return replayed


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@settings(max_examples=120, deadline=None)
@given(tape=tapes(PERP), one=engines(PERP), other=engines(PERP), venue_rules=rules)
def test_contracts_write_one_journal_and_equal_the_venues_books(backend, tape, one, other, venue_rules):
    check(one, other, [tape], venue_rules, backend)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@settings(max_examples=80, deadline=None)
@given(st.data())
def test_coins_and_contracts_of_one_account_write_one_journal(backend, data):
    rows = data.draw(st.integers(1, 8))
    played = [data.draw(tapes(SPOT, rows)), data.draw(tapes(PERP, rows))]
    one, other = data.draw(engines(SPOT, PERP)), data.draw(engines(PERP, SPOT))
    check(one, other, played, data.draw(rules), backend)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_pool_and_contracts_of_one_account_write_one_journal(backend, data):
    rows = data.draw(st.integers(1, 8))
    played = [data.draw(tapes(SPOT, rows)), data.draw(tapes(PERP, rows))]
    one, other = data.draw(engines(SPOT, PERP)), data.draw(engines(SPOT))
    check(one, other, played, {"SOL/USDC": data.draw(pool_rules), "SOL-PERP": data.draw(rules)}, backend)


def test_these_runs_are_worth_running():
    """What the laws above are drawn from does happen: fills, funding, settlements, liquidations, fences."""
    seen: dict[type | str, int] = {}

    @settings(max_examples=600, deadline=None, database=None, derandomize=True)
    @given(tape=tapes(PERP, 12), one=engines(PERP), other=engines(PERP))
    def run(tape, one, other):
        desk = desk_of(one, other)
        replay(desk, tape, rules=Rules(Fees(100, 400)), progress=False, bounds=False)
        for record in desk.books.journal:
            kind = record.code if isinstance(record, Alert) else type(record)
            seen[kind] = seen.get(kind, 0) + 1

    run()
    for kind in (Fill, FundingPaid, Settled, Liquidated, "ring_fence", "health"):
        assert seen.get(kind), (kind, seen)
