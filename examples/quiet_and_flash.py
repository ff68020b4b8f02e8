"""One wallet, two strategies, two purses: a Quiet sleeve that compounds and a Flash sleeve that hands back its profit.

    python examples/quiet_and_flash.py                        # the packaged sample
    python examples/quiet_and_flash.py --candles FILE         # any CSV or CSV.gz: ts,open,high,low,close,volume

`--tick` is the price step that the candles are rounded to. `--fine` lets fees and slippage out, to see what they cost.
"""

from __future__ import annotations

import argparse

from sleeves import BTC, FLASH, QUIET, USD, CoreVault, Desk, Instrument
from sleeves.engines import Trend
from sleeves.errors import MissingExtra
from sleeves.sim import Fees, Rules, Slippage, Tape, replay


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candles", help="a CSV or CSV.gz of candles quoted in USD")
    parser.add_argument("--tick", default="0.01", help="the price step (default: 0.01)")
    parser.add_argument("--repair", action="store_true", help="repair bad rows, and say which, instead of refusing the file")
    parser.add_argument("--fine", action="store_true", help="no fees and no slippage")
    parser.add_argument("--out", help="write the report with pictures to this HTML file")
    args = parser.parse_args()

    btc = Instrument("BTC/USD", base=BTC, quote=USD, tick=args.tick, lot="0.00000001", min_qty="0.0001", min_notional="1")
    tape = Tape.load(args.candles, btc, repair=args.repair) if args.candles else Tape.sample()
    rules = Rules(Fees(0, 0), Slippage.none()) if args.fine else Rules()

    vault = CoreVault(USD, total="20000", tradeable="15000")
    quiet = vault.sleeve("quiet", QUIET, allocate="10000")
    flash = vault.sleeve("flash", FLASH, allocate="5000")

    desk = Desk(vault)
    desk.assign(Trend.quiet(tape.instrument), to=quiet)
    desk.assign(Trend.flash(tape.instrument), to=flash)

    report = replay(desk, tape, rules=rules)
    print(report)
    print()
    print(desk.explain(flash))
    print()
    print(f"Tradeable rose from 15,000 USD to {vault.tradeable}: by exactly the {flash.returned} that Flash returned.")
    assert vault.tradeable == USD("15000") + flash.returned
    report.proof.require()
    print("\n".join(["", *report.notes()]))
    if args.out:
        try:
            report.save(args.out)
        except MissingExtra as error:
            print(f"no pictures: {error}")


if __name__ == "__main__":
    main()
