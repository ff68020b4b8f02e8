"""While prices stay where nothing can break, nobody looks: every record of a run is the same as where everybody always looks."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sleeves import BTC, ETH, QUIET, USD, CoreVault, Desk, Instrument, Place, Side, exposure
from sleeves.facts import Liquidated
from sleeves.market import Kind, Perpetual
from sleeves.records import Alert
from sleeves.sim import Fees, Rules, Slippage, Tape, exchange, replay
from strategies import heavy


def contract(symbol, base, imf):
    return Instrument(symbol, base=base, quote=USD, tick="0.01", lot="0.001", kind=Kind.PERP, contract=Perpetual(imf=imf))


class Turns:
    """Now and then as much of a market as its margin allows, or a part of it, either way; or it closes what it has."""

    every = 0

    def __init__(self, name, markets, seed, wild):
        self.name, self.watches, self.seed, self.wild = name, markets, seed, wild

    def begin(self):
        return random.Random(self.seed)

    def decide(self, memory, view):
        market = view.book.instrument
        if memory.random() > self.wild or view.orders():
            return None
        held = view.position(market)
        if held:
            return (Place(market, Side.SELL if held > 0 else Side.BUY, abs(held), reduce_only=True),)
        qty = market.round_qty(view.affordable(market, view.free() * memory.choice([1, 3, 9]) // 10))
        return (Place(market, memory.choice([Side.BUY, Side.SELL]), qty),) if qty else None


def walk(market, rows, seed, wild):
    rng, path = random.Random(seed), [300_000]
    for _ in range(rows):
        path.append(max(1_000, round(path[-1] * (1 + rng.gauss(0, wild)))))
    columns = {"open": [a / 100 for a in path[:-1]], "close": [a / 100 for a in path[1:]]}
    columns["high"] = [max(pair) / 100 + rng.randrange(3) for pair in pairwise(path)]
    columns["low"] = [max(1, min(pair) / 100 - rng.randrange(3)) for pair in pairwise(path)]
    return Tape.from_columns(market, ts=[1_600_000_000 + 60 * i for i in range(rows)], **columns)


def run(seed, wild, imf, sleeves):
    one, two = contract("ETH-PERP", ETH, imf), contract("BTC-PERP", BTC, imf)
    vault = CoreVault(USD, total=1_000 * sleeves, tradeable=1_000 * sleeves)
    desk = Desk(vault)
    for number in range(sleeves):
        engine = Turns(f"turns-{number}", (one, two), seed + number, 0.05)
        desk.assign(engine, to=vault.sleeve(f"s{number}", QUIET, allocate="1000"))
    tapes = [walk(one, 150, seed, wild), walk(two, 150, seed + 1, wild)]
    replay(desk, tapes, rules=Rules(Fees(500, 500), Slippage.none()), progress=False, bounds=False)
    desk.check(deep=True).require()
    return list(desk.books.journal)


@heavy
@given(st.integers(0, 10**6), st.sampled_from([0.002, 0.01, 0.04]), st.sampled_from([0, 2_000]), st.integers(1, 3))
def test_looking_only_where_something_could_break_writes_the_same_journal(seed, wild, imf, sleeves):
    quick = run(seed, wild, imf, sleeves)
    with pytest.MonkeyPatch.context() as patch:
        for module in (exposure, exchange):
            patch.setattr(module, "safe_within", lambda account, **_: None)
        assert run(seed, wild, imf, sleeves) == quick


def test_these_runs_are_worth_running():
    """Some are told of, some are closed by their fence, some by the venue."""
    codes, forced = set(), 0
    for seed in range(12):
        for record in run(seed, 0.03, 0, 2):
            codes |= {record.code} if isinstance(record, Alert) else set()
            forced += isinstance(record, Liquidated)
    assert {"health", "ring_fence"} <= codes
    assert forced
