"""Tune a cross of averages, and see what the tuning was worth: first on data that it never saw, then why to doubt it.

    python -m pip install "sleeves[tuning]"
    python examples/tune.py
    python examples/tune.py --trials 60 --seed 7

The packaged sample is half a year of hours. The parameters that were best on two months are run on the three weeks behind them,
again and again. Then the same search where trading costs nothing, which no venue offers: the doubts say so.
"""

from __future__ import annotations

import argparse

from sleeves import QUIET, USD, CoreVault, Desk
from sleeves.engines import EmaCross
from sleeves.market import DAY
from sleeves.sim import SAMPLE_INSTRUMENT, Fees, Rules, Slippage, Tape
from sleeves.tuning import Rows, tune, walk_forward

SPACE = {"fast": (2, 30), "slow": (35, 150)}


def make_desk(fast: int, slow: int) -> Desk:
    vault = CoreVault(USD, total="10000", tradeable="10000")
    desk = Desk(vault, mark_every=DAY)
    desk.assign(EmaCross(SAMPLE_INSTRUMENT, fast, slow, size="100%"), to=vault.sleeve("cross", QUIET, allocate="10000"))
    return desk


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=8, help="parameters to try on each train window (default: 8)")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()

    tape = Tape.sample()
    splits = walk_forward(tape, train=60 * DAY, test=21 * DAY, gap=1 * DAY, warm=Rows(150))
    print(splits)

    print("\nWith fees and slippage, as a venue has them:\n")
    honest = tune(make_desk, SPACE, tape, splits=splits, trials=args.trials, seed=args.seed, progress=False)
    print(honest)

    print("\nThe same search where trading costs nothing, and the maker fee has the wrong sign:\n")
    free = Rules(Fees.of("-0.01%", "0%"), Slippage.none())
    gamed = tune(make_desk, SPACE, tape, splits=splits, trials=args.trials, seed=args.seed, rules=free, progress=False)
    for name, found in (("with costs", honest), ("without", gamed)):
        inside = USD.units(sum(one.profit.units for one in found.inside))
        print(f"{name:10}  in sample {inside}, out of sample {found.profit}")
    for doubt in gamed.doubts:
        if doubt.code in ("rebate", "no_fee", "no_slippage"):
            print(f"- {doubt}")


if __name__ == "__main__":
    main()
