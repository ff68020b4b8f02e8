"""Real funding: a year's end of XRP perpetual rates and marks, held short, to the unit.

The rates are those of a USDT-margined XRP perpetual, every 8 hours from 18 November 2021, beside the project.
"""

from __future__ import annotations

import csv
import gzip
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

from sleeves import QUIET, USDT, Asset, CoreVault, Desk, Instrument, Place, Side
from sleeves.facts import FundingPaid
from sleeves.market import HOUR, SECOND, FundingRate, Kind
from sleeves.sim import Fees, Rules, Slippage, Tape, replay

FILE = Path(__file__).parents[3] / "shared" / "data" / "xrp-perp-funding-8h-2021.csv.gz"
XRP = Asset("XRP", 6)
PERP = Instrument("XRP-PERP", base=XRP, quote=USDT, tick="0.0001", lot="0.1", kind=Kind.PERP)


class Holds:
    """One side, once, for good."""

    name, every, watches = "holds", 0, (PERP,)

    def __init__(self, side):
        self.side = side

    def begin(self):
        return []

    def decide(self, memory, view):
        if memory:
            return None
        memory.append(True)
        return [Place(PERP, self.side, PERP.qty("1000"))]


@pytest.fixture(scope="module")
def rows():
    if not FILE.is_file():
        pytest.skip(f"{FILE.name} is not beside the project")
    with gzip.open(FILE, "rt") as file:
        return list(csv.DictReader(file))


def test_what_funding_brings_is_the_sum_of_rate_times_mark_times_size(rows):
    columns = {name: [row[f"mark_{name}"] for row in rows] for name in ("open", "high", "low", "close")}
    tape = Tape.from_columns(PERP, ts=[row["ts"] for row in rows], interval=8 * HOUR, repair=True, **columns)
    rates = [FundingRate.of(PERP, row["funding_rate"], price=row["mark_open"], at=int(row["ts"]) * SECOND) for row in rows]
    vault = CoreVault(USDT, total="10000", tradeable="10000")
    short, long = (vault.sleeve(name, QUIET, allocate="5000") for name in ("short", "long"))
    desk = Desk(vault)
    desk.assign(Holds(Side.SELL), to=short)
    desk.assign(Holds(Side.BUY), to=long)
    report = replay(desk, tape.with_funding(rates), rules=Rules(Fees(0, 0), Slippage.none()), progress=False, bounds=False)
    told = [r for r in desk.books.journal if isinstance(r, FundingPaid)]
    assert len(told) == len(rows) - 1  # the first falls due as the tape begins, for what was held before it
    assert all(fact.amount == 0 for fact in told)  # the venue nets long and short to nothing
    # the first price is the first row's close: filled at the second row's open, paid from the third instant on
    due = sum(Fraction(row["funding_rate"]) * Fraction(row["mark_open"]) * 1000 for row in rows[2:])
    assert short.funding == -long.funding
    assert abs(Fraction(short.funding.decimal) - due) < Fraction(len(rows), 10**6)
    assert short.funding.decimal > Decimal(0)
    assert report.proof.require().holds
