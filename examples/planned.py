"""A plan: the rows of a tape that matter to an engine, found in one pass. The rest is passed by, and the books are the same.

The same desk runs twice over the packaged sample, once asked on every row and once by plan. Both journals have the same
digest: every record, of every order, fill and entry, is the same. Then `check_plan` tries the plan itself. Without numpy there
is no plan, and both runs ask on every row.
"""

from __future__ import annotations

import importlib.util

from sleeves import QUIET, USD, CoreVault, Desk
from sleeves.engines import EmaCross, Trend
from sleeves.sim import Tape, replay
from sleeves.testing import check_plan


def run(tape: Tape, *, plan: bool) -> Desk:
    vault = CoreVault(USD, total="10000", tradeable="10000")
    desk = Desk(vault)
    desk.assign(EmaCross(tape.instrument, 24, 168, size="100%"), to=vault.sleeve("cross", QUIET, allocate="5000"))
    desk.assign(Trend.flash(tape.instrument), to=vault.sleeve("trend", QUIET, allocate="5000"))
    replay(desk, tape, plan=plan, bounds=False)
    return desk


def main() -> None:
    tape = Tape.sample()
    streamed, planned = run(tape, plan=False), run(tape, plan=True)
    for name, desk in (("asked on every row", streamed), ("by plan", planned)):
        journal = desk.books.journal
        print(f"{name:<20}{len(journal):>6} records, digest {journal.digest()[:16]}")
    assert streamed.books.journal.digest() == planned.books.journal.digest()
    print()
    for name, sleeve in planned.treasury.vaults[0].sleeves.items():
        print(f"{name:<8}{sleeve.balance}")
    print()
    if importlib.util.find_spec("numpy") is None:
        print('no plans without numpy: python -m pip install "sleeves[fast]"')
        return
    for engine in (EmaCross(tape.instrument, 24, 168), Trend.flash(tape.instrument), Trend.quiet(tape.instrument)):
        tried = check_plan(engine, tape)
        print(f"{engine.name:<14}{tried.rows} rows, asked on {tried.asked}, {tried.named} named by the plan, {tried.wished} with a wish")


if __name__ == "__main__":
    main()
