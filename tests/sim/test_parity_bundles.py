"""The parity law for bundles, coins sold elsewhere, swaps through pools and trades inside: one journal, whichever way it runs.

A whole exchange is behind each run: legs fail because the price has moved beyond their hold, because a row's volume is
gone, or because the account is liquidated between two of them; and the books end as the venue's.
"""

from __future__ import annotations

from collections.abc import Iterable

import anyio
import pytest
from attrs import frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from sleeves import FLASH, QUIET, SOL, USDC, Asset, Bundle, CoreVault, Desk, Instrument, Place, Side
from sleeves.live import trade
from sleeves.market import HOUR, Kind, Perpetual
from sleeves.money import Rounding
from sleeves.orders import Intent, TimeInForce
from sleeves.protocols import View
from sleeves.records import BundleStatus, BundleUpdate, Crossed
from sleeves.sim import ConstantProduct, Fees, Latency, Rules, Slippage, Tape, VirtualDriver, account_of, replay

LST = Asset("LST", 9)
HERE = Instrument("SOL-A/USDC", base=SOL, quote=USDC, tick="0.01", lot="0.01", min_qty="0.01")
THERE = Instrument("SOL-B/USDC", base=SOL, quote=USDC, tick="0.01", lot="0.01", min_qty="0.01")
PERP = Instrument(
    "SOL-PERP", base=SOL, quote=USDC, tick="0.01", lot="0.01", min_qty="0.01", kind=Kind.PERP, contract=Perpetual(funding_every=HOUR)
)
TOKEN = Instrument("LST/USDC", base=LST, quote=USDC, tick="0.01", lot="0.01", min_qty="0.01")
CROSS = Instrument("LST/SOL", base=LST, quote=SOL, tick="0.0001", lot="0.01", min_qty="0.01")
MARKETS = (HERE, THERE, PERP, TOKEN, CROSS)
PRICES = {HERE: 10_000, THERE: 10_010, PERP: 10_020, TOKEN: 11_000, CROSS: 11_000}
START = 1_700_000_000


@frozen
class Wish:
    kind: str
    percent: int
    tries: int
    rollback: bool
    slack: int | None
    """How far beyond the price the first leg's limit lies, in ticks; None for at market."""

    def intents(self, view: View) -> list[Intent]:
        if any(view.book_of(market) is None for market in MARKETS):
            return []
        qty = HERE.round_qty(view.affordable(HERE) * self.percent // 100)
        sold = HERE.round_qty(view.sellable(HERE) * self.percent // 100)
        token = TOKEN.round_qty(qty * 85 // 100)
        legs: tuple[Place, ...] = ()
        if self.kind == "carry" and qty:
            legs = (Place(PERP, Side.SELL, qty), Place(HERE, Side.BUY, qty))
        elif self.kind == "exit" and sold:
            legs = (Place(PERP, Side.BUY, sold), Place(THERE, Side.SELL, sold))
        elif self.kind == "spread" and qty:
            least = PRICES[THERE] * 97 // 100
            legs = (Place(HERE, Side.BUY, qty), Place(THERE, Side.SELL, qty, limit=least, tif=TimeInForce.IOC))
        elif self.kind == "triangle" and token:
            legs = (Place(HERE, Side.BUY, qty), Place(CROSS, Side.BUY, token), Place(TOKEN, Side.SELL, token))
        elif self.kind == "buy" and qty:
            return [Place(HERE, Side.BUY, qty)]
        elif self.kind == "sell" and sold:
            return [Place(HERE, Side.SELL, sold)]
        elif self.kind in ("long", "short") and qty:
            return [Place(PERP, Side.BUY if self.kind == "long" else Side.SELL, qty)]
        if not legs:
            return []
        if self.slack is not None:
            book = view.book_of(legs[0].instrument)
            assert book is not None
            limit = max(1, book.mid + legs[0].side.sign * self.slack)
            legs = (Place(legs[0].instrument, legs[0].side, legs[0].qty, limit=limit, tif=TimeInForce.IOC), *legs[1:])
        return [Bundle(legs, tries=self.tries, rollback=self.rollback)]


@frozen
class Scripted:
    plan: tuple[Wish, ...]
    name: str
    watches: tuple[Instrument, ...] = MARKETS
    every: int = 0

    def begin(self) -> list[int]:
        return [0]

    def decide(self, memory: list[int], view: View) -> Iterable[Intent] | None:
        if view.bundles or view.orders() or memory[0] >= len(self.plan):
            return None
        memory[0] += 1
        return self.plan[memory[0] - 1].intents(view)


wishes = st.builds(
    Wish,
    st.sampled_from(["carry", "exit", "spread", "triangle", "buy", "sell", "long", "short"]),
    st.sampled_from([20, 50, 90]),
    st.integers(1, 2),
    st.booleans(),
    st.none() | st.integers(-20, 60),
)
moves = st.tuples(st.integers(-300, 300), st.integers(0, 100), st.integers(0, 100), st.integers(0, 60))


@st.composite
def tapes(draw: st.DrawFn, market: Instrument, rows: int) -> Tape:
    price, columns, volume = PRICES[market], {name: [] for name in ("open", "high", "low", "close")}, []
    for move, up, down, traded in draw(st.lists(moves, min_size=rows, max_size=rows)):
        open_, price = price, max(100, price + move)
        for name, value in zip(columns, (open_, max(open_, price) + up, min(open_, price) - down, price), strict=True):
            columns[name].append(market.price_text(value))
        volume.append(traded)
    return Tape.from_columns(market, ts=[START + 3600 * i for i in range(rows)], volume=volume, **columns)


def pool(market: Instrument, *, deep: int = 5_000) -> ConstantProduct:
    price = PRICES[market]
    return ConstantProduct(deep * 10**9, market.cost(price, deep * 10**9, Rounding.DOWN), 3_000)


plain = st.builds(
    Rules,
    st.builds(Fees, st.integers(0, 2_000), st.integers(0, 4_000)),
    st.sampled_from([Slippage.none(), Slippage()]),
    st.sampled_from([None, 200_000]),
    st.builds(Latency, st.sampled_from([0, 0, 1_000 * 10**9])),
)


def desk_of(one: Scripted, other: Scripted, policy: str) -> Desk:
    vault = CoreVault(USDC, total="4000", tradeable="4000")
    desk = Desk(vault, self_trade=policy)
    desk.assign(one, to=vault.sleeve("quiet", QUIET, allocate="2000"))
    desk.assign(other, to=vault.sleeve("flash", FLASH, allocate="2000"))
    return desk


def play(played, rules, one, other, policy, backend="asyncio") -> Desk:
    """The desk after both ways have written one journal, and its books are the venue's."""
    replayed, traded = desk_of(one, other, policy), desk_of(one, other, policy)
    report = replay(replayed, played, rules=rules, progress=False, bounds=False)
    venue = VirtualDriver(played, account_of(traded), rules)
    anyio.run(trade, traded, venue, backend=backend)
    assert list(replayed.books.journal.lines()) == list(traded.books.journal.lines())
    assert report.holdings == venue.exchange.balances()
    assert report.positions == venue.exchange.positions()
    assert report.proof.holds, str(report.proof)
    assert str(report)
    return replayed


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_bundles_write_one_journal_and_equal_the_venues_books(backend, data):
    rows = data.draw(st.integers(2, 8))
    played = [data.draw(tapes(market, rows)) for market in MARKETS]
    rules = {market.symbol: data.draw(plain) for market in MARKETS}
    for market in (HERE, THERE, TOKEN, CROSS):
        if data.draw(st.booleans()):
            rules[market.symbol] = Rules(pool=pool(market))
    one, other = (Scripted(tuple(data.draw(st.lists(wishes, max_size=8))), name) for name in ("one", "other"))
    play(played, rules, one, other, data.draw(st.sampled_from(["allow", "refuse", "cross"])), backend)


# -- each of its ends, on purpose ------------------------------------------------------------------------------------------


def still(rows: int = 6) -> list[Tape]:
    """Prices that do not move; nothing is ever traded on the second SOL market."""
    tapes_ = []
    for market in MARKETS:
        price, volume = [market.price_text(PRICES[market])] * rows, [0 if market is THERE else 60] * rows
        bars = dict.fromkeys(("open", "high", "low", "close"), price)
        tapes_.append(Tape.from_columns(market, ts=[START + 3600 * i for i in range(rows)], volume=volume, **bars))
    return tapes_


def ends(desk: Desk) -> list[BundleStatus]:
    return [r.status for r in desk.books.journal if isinstance(r, BundleUpdate) and r.status.over]


PAUSE = Wish("sell", 1, 1, True, None)
"""A wish of nothing: what it would sell is not there. The first four decisions come before all prices are known."""


@pytest.mark.parametrize(
    ("wish", "end"),
    [
        (Wish("carry", 50, 2, True, None), [BundleStatus.DONE]),
        (Wish("triangle", 50, 2, True, None), [BundleStatus.DONE]),
        (Wish("carry", 50, 2, True, -20), [BundleStatus.NOTHING]),
        (Wish("spread", 50, 1, True, None), [BundleStatus.NOTHING]),
        (Wish("spread", 50, 1, False, None), [BundleStatus.LEFT]),
    ],
)
def test_a_bundle_ends_as_its_legs_do(wish, end):
    """Filled; bought through a swap and sold; a limit that is not reached; a second leg that nobody fills, taken back or left."""
    rules = {market.symbol: Rules(Fees(0, 0), Slippage.none(), participation_ppm=1_000_000) for market in MARKETS}
    if wish.kind == "spread":
        rules["SOL-B/USDC"] = Rules(pool=ConstantProduct(10**9, 100 * 10**6, 3_000))  # too small for the second leg
    one = Scripted((PAUSE,) * 4 + (wish,), "one")
    desk = play(still(), rules, one, Scripted((), "other"), "refuse")
    assert ends(desk) == end
    quiet = desk.treasury.vaults[0].sleeves["quiet"]
    if end == [BundleStatus.NOTHING]:
        assert quiet.is_flat()
        assert quiet.balance == USDC("2000")


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_trade_inside_is_the_same_both_ways(backend):
    one = Scripted((PAUSE,) * 4 + (Wish("long", 50, 1, True, None),), "one")
    other = Scripted((PAUSE,) * 4 + (Wish("short", 90, 1, True, None),), "other")
    desk = play(still(), Rules(Fees(0, 4_000)), one, other, "cross", backend)
    crossed = [record for record in desk.books.journal if isinstance(record, Crossed)]
    quiet, flash = desk.treasury.vaults[0].sleeves.values()
    assert len(crossed) == 1
    assert quiet.position_units(PERP) == crossed[0].qty
    assert flash.position_units(PERP) < -crossed[0].qty
    assert quiet.fees == USDC.zero
    assert flash.fees > USDC.zero
