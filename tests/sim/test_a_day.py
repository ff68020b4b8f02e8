"""A day, minute by minute, on a journal on disk: all faults, deaths of the process, a human who meddles; at its end all agrees.

It is the trial of `sleeves trial`, which checks the laws again and again, over 86,400 seconds, with six engines, and with
`SQLite` in place of a journal in memory: what a death leaves is what lies in the files at that instant.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from attrs import frozen

from sleeves import FLASH, QUIET, SOL, USDC, Cancel, Desk, ProfitPolicy
from sleeves.booking import Allowance
from sleeves.journals import SQLite
from sleeves.market import MINUTE, SECOND
from sleeves.orders import Fill
from sleeves.records import BundleUpdate, Reconciled, Recovered
from sleeves.sim.faults import Faults
from sleeves.sim.trial import BEGIN, Restless, Trial
from sleeves.verify import verify

SEEDS = [int(seed) for seed in os.environ.get("SLEEVES_DAYS", "1").split(",")]
DAY = 24 * 60
EVERY = 30 * MINUTE
"""How often the books are held against the venue, besides when they are at random."""


class OnDisk(SQLite):
    """A journal in a file, and what of it another process finds when this one dies."""

    fails_ppm = 0
    folder: Path
    deaths = 0
    left: Path | None = None

    @classmethod
    def begin(cls, folder):
        folder.mkdir()
        journal = cls.open(folder / "main.sleeves")
        journal.folder = folder
        return journal

    def die(self):
        """The process is dead from here on: keep the files as they lie there now."""
        self.left = self.folder.with_name(f"after-{self.deaths + 1}")
        self.left.mkdir()
        for path in self.folder.iterdir():
            if not path.name.endswith(".lock"):
                shutil.copy(path, self.left / path.name)

    def rest(self):
        if self.left is None:
            self.die()
        self.close()
        shutil.rmtree(self.folder)
        again = type(self).open(self.left / "main.sleeves")
        again.folder, again.deaths = self.left, self.deaths + 1
        return again


@frozen
class Impatient(Restless):
    """It takes back what has rested for ten minutes, so that it goes on all day."""

    def decide(self, memory, view):
        old = [Cancel(order.id) for order in view.orders() if view.now - order.at > 10 * MINUTE]
        return old or super().decide(memory, view)


class Day(Trial):
    makes = Impatient
    policies = (
        ("quiet", QUIET),
        ("flash", FLASH),
        ("mixed", ProfitPolicy.above_high_water("50%")),
        ("slow", QUIET),
        ("quick", FLASH),
        ("late", ProfitPolicy.above_high_water("20%")),
    )

    def __init__(self, seed, folder, **kwargs):
        self._folder = folder
        self._due, self._over = BEGIN + EVERY, False
        super().__init__(seed, rows=DAY, **kwargs)

    def _begin(self):
        return OnDisk.begin(self._folder / "first")

    def _maybe_die(self):
        try:
            super()._maybe_die()
        except Exception:
            self.journal.die()
            raise

    def _desk(self, *vaults):
        """What a human trades by hand on the same account does not keep the engines from trading, so that the day is a full one."""
        terms = {"allowance": Allowance.of(fee="0.5%"), "self_trade": self._self_trade}
        return Desk(*vaults, tolerances={USDC: "1000000", SOL: "1000"}, **terms)

    def _check(self):
        """The laws, after each twentieth event."""
        if self.outcome.steps % 20 == 0 or self._over:
            super()._check()

    async def _end(self):
        self._over = True
        await super()._end()

    async def _take(self, event):
        await super()._take(event)
        if self.desk.books.now >= self._due:
            self._due += EVERY
            await self._look()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_day_with_all_faults_ends_reconciled_to_the_unit(seed, tmp_path):
    day = Day(seed, tmp_path, faults=Faults.all(20_000), crash_ppm=2_500)
    outcome = day.run()  # which checks the laws on the way, and at the end every coin, contract and order
    assert day.desk.books.now >= BEGIN + 86_400 * SECOND
    assert outcome.crashes >= 3
    assert outcome.orders > 300 and outcome.unknown > 10
    assert set(outcome.faults) == {field.name for field in Faults.__attrs_attrs__}
    kinds = [type(record) for record in day.journal]
    assert kinds.count(Reconciled) >= DAY * MINUTE // EVERY - 5
    assert kinds.count(Recovered) >= 3
    assert kinds.count(Fill) > 200 and kinds.count(BundleUpdate) > 20
    assert verify(day.journal).records == len(day.journal)
    day.journal.close()
