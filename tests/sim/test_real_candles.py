"""The main job on real candles: what the issue of the two sleeves promises, record by record."""

from __future__ import annotations

from pathlib import Path

import pytest

from sleeves import FLASH, QUIET, USD, CoreVault, Desk
from sleeves.engines import Trend
from sleeves.fold import SleeveFold
from sleeves.ledger import Entry, EntryKind, Role
from sleeves.sim import SAMPLE_INSTRUMENT, Tape, replay

DATA = Path(__file__).parents[3] / "shared" / "data"
FILES = ["the packaged sample", "btc-usd-1h-2017-2019.csv.gz", "btc-perp-1m-2022-01.csv.gz"]


def tape_of(name):
    if name == FILES[0]:
        return Tape.sample()
    if not (DATA / name).is_file():
        pytest.skip(f"{name} is not beside the project")
    return Tape.load(DATA / name, SAMPLE_INSTRUMENT)


def run(tape, *, script=False):
    """Two sleeves; with `script` Flash runs the script's own thresholds, which trade more."""
    vault = CoreVault(USD, total="20000", tradeable="15000")
    quiet, flash = vault.sleeve("quiet", QUIET, allocate="10000"), vault.sleeve("flash", FLASH, allocate="5000")
    desk = Desk(vault)
    desk.assign(Trend.quiet(tape.instrument), to=quiet)
    desk.assign(Trend(tape.instrument) if script else Trend.flash(tape.instrument), to=flash)
    return desk, vault, replay(desk, tape, progress=False)


@pytest.mark.parametrize("script", [False, True], ids=["preset", "script"])
@pytest.mark.parametrize("name", FILES)
def test_flash_is_at_its_allocation_or_below_whenever_it_is_flat_and_tradeable_rises_by_what_is_swept(name, script):
    desk, vault, report = run(tape_of(name), script=script)
    records = list(vault.books.journal)
    fold, tradeable, swept, flat_moments = SleeveFold("flash", USD), USD("15000").units, 0, 0
    for record, after in zip(records, [*records[1:], None], strict=True):
        if not isinstance(record, Entry):
            continue
        fold.apply(record)
        if record.kind is EntryKind.SWEEP:
            back = sum(p.units for p in record.postings if p.account.role is Role.IDLE)
            raised = sum(p.units for p in record.postings if p.account.role is Role.TRADEABLE)
            assert back == raised > 0
            swept += back
        sweep_follows = isinstance(after, Entry) and after.kind is EntryKind.SWEEP
        if record.kind in (EntryKind.FILL, EntryKind.SWEEP) and not sweep_follows and not fold.positions.get("BTC/USD", 0):
            flat_moments += 1
            assert fold.balance <= USD("5000").units
    assert flat_moments > 3
    assert vault.tradeable.units == tradeable + swept
    assert vault.sleeves["flash"].returned.units == swept
    assert vault.sleeves["quiet"].returned == USD("0")
    assert report.proof.require().holds


@pytest.mark.parametrize("name", FILES)
def test_the_same_candles_write_the_same_journal_byte_for_byte(name):
    tape = tape_of(name)
    one, two = run(tape)[0].books.journal, run(tape_of(name))[0].books.journal
    assert list(one.lines()) == list(two.lines())
    assert one.digest() == two.digest()


def test_the_venue_and_the_books_agree_to_the_unit_in_the_end():
    desk, vault, report = run(Tape.sample())
    coins = desk.books.coins("main")
    assert {asset.code: units for asset, units in coins.items()} == {code: amount.units for code, amount in report.holdings.items()}
