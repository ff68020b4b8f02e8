"""A journal as a whole: verified, exported, read by a later version; and the commands that do it."""

from __future__ import annotations

import csv
import io
from collections import Counter
from pathlib import Path

import polars
import pytest

from helpers import BTCUSD, carry, new_desk
from sleeves import FLASH, USD, Books, CoreVault
from sleeves.cli import main
from sleeves.codec import encode
from sleeves.errors import JournalError, SleevesError
from sleeves.export import COLUMNS, csv_lines, json_lines, parquet, postings
from sleeves.journal import Memory
from sleeves.journals import SQLite
from sleeves.ledger import Entry
from sleeves.money import Asset
from sleeves.records import Alert, Level
from sleeves.state import State
from sleeves.verify import verify

OLD = Path(__file__).parent / "data" / "journal-v1.jsonl"
"""A journal that version 1 wrote: one record of every kind that it knew, and the ledger that it had then beside it."""


def lived(journal=None):
    """A buy and a sale with a profit that is swept, in a journal of its own."""
    desk, vault, _, puppet = new_desk(FLASH, books=Books(journal), at=0)
    puppet.quote("10000")
    carry(desk, puppet.buy("0.1"))
    puppet.quote("11000")
    carry(desk, puppet.sell("0.1"))
    return desk, vault


# -- older versions ----------------------------------------------------------------------------------------------------------


def test_a_journal_of_version_1_is_read_and_folds_to_the_ledger_that_it_had():
    with OLD.open(encoding="ascii") as lines:
        journal = Memory.read(lines)
    assert len(journal) == len(OLD.read_text().splitlines())
    state = State.fold(journal)
    said = sorted(f"{account} {amount}" for account, amount in state.ledger.accounts() if amount.units)
    assert said == OLD.with_name("journal-v1.ledger.txt").read_text().splitlines()
    assert verify(journal).records == len(journal)


def test_a_journal_of_version_1_goes_on_in_the_present_one():
    with OLD.open(encoding="ascii") as lines:
        journal = Memory.read(lines)
    again = Memory.read(journal.lines())
    assert list(again) == list(journal), "what is written now reads back to the same records"
    assert {'"v":2' in line for line in journal.lines()} == {True}
    kinds = Counter(type(record).__name__ for record in journal)
    assert {"Entry", "Fill", "Placed", "FundingPaid", "Settled", "Liquidated", "Bankrupted", "Transferred", "Marked"} <= kinds.keys()


def test_a_line_of_version_1_that_was_changed_is_refused_by_its_number():
    lines = OLD.read_text().splitlines()
    lines[3] = lines[3].replace("owner", "0wner", 1)
    with pytest.raises(JournalError, match="journal line 4: its digest"):
        Memory.read(lines)


# -- verify ----------------------------------------------------------------------------------------------------------------


def test_a_life_is_verified_with_its_snapshot():
    desk, vault = lived()
    desk.books.snapshot()
    at = len(desk.books.journal)
    vault.allocate(vault.sleeves["a"], "10")
    verdict = verify(desk.books.journal)
    assert (verdict.records, verdict.snapshot) == (len(desk.books.journal), at)
    assert verdict.totals == {"core:main:USD": vault.total}
    assert f"snapshot: at record {at}" in str(verdict) and "2 Fill" in str(verdict)


def test_a_snapshot_that_is_not_the_fold_is_refused():
    desk, _ = lived()
    desk.books.snapshot()
    state = State.load(desk.books.journal.load()[1])
    state.sleeves["a"].counter += 1
    desk.books.journal.save(state.dump())
    with pytest.raises(JournalError, match=r"the snapshot at record \d+ with what follows it is not the fold"):
        verify(desk.books.journal)


@pytest.mark.parametrize("snapshot", ['{"v":0}', '{"v":1}', "[]"])
def test_a_snapshot_that_another_version_took_is_passed_over(snapshot):
    """The journal vouches for what it was given; what this version cannot read of it, it folds anew."""
    desk, _ = lived()
    journal = Memory.read(list(desk.books.journal.lines()))
    journal.save(snapshot)
    assert State.load(State.fold(desk.books.journal).dump()).dump() == Books(journal).state.dump()


def test_a_fact_that_is_journaled_twice_is_refused():
    desk, _ = lived()
    journal = desk.books.journal
    journal._records.append(next(record for record in journal if type(record).__name__ == "Fill"))
    with pytest.raises(JournalError, match="is journaled twice"):
        verify(journal)


def test_an_entry_that_could_not_be_posted_is_refused_by_its_number():
    desk, _ = lived()
    journal = desk.books.journal
    hold = next(n for n, record in enumerate(journal) if isinstance(record, Entry) and record.kind == "allocate")
    journal._records.insert(hold + 1, journal._records[hold].reverse())
    journal._records.insert(hold + 2, journal._records[hold].reverse())
    with pytest.raises(JournalError, match=rf"journal record {hold + 3} cannot follow"):
        verify(journal)


def test_an_empty_journal_holds_nothing():
    assert str(verify(Memory())).startswith("0 records hold: nothing")


# -- export ----------------------------------------------------------------------------------------------------------------


def test_json_lines_are_the_journal():
    desk, _ = lived()
    lines = list(json_lines(desk.books.journal))
    assert list(Memory.read(lines)) == list(desk.books.journal)


def test_the_postings_of_a_table_sum_to_the_ledger():
    desk, _ = lived()
    rows = list(csv.DictReader(io.StringIO("".join(csv_lines(desk.books.journal)))))
    assert tuple(rows[0]) == COLUMNS
    assets = {"USD": USD, "BTC": BTCUSD.base}
    sums = {}
    for row in rows:
        account = (row["owner"], row["role"], row["of"])
        sums[account, row["asset"]] = sums.get((account, row["asset"]), 0) + assets[row["asset"]](row["amount"]).units
    ledger = {((a.owner, a.role.value, a.of), m.asset.code): m.units for a, m in desk.books.ledger.accounts()}
    assert {k: v for k, v in sums.items() if v} == {k: v for k, v in ledger.items() if v}


def test_parquet_has_the_same_rows(tmp_path):
    desk, _ = lived()
    parquet(desk.books.journal, tmp_path / "a.parquet")
    assert polars.read_parquet(tmp_path / "a.parquet").to_dicts() == list(postings(desk.books.journal))


def test_amounts_beyond_what_a_float_holds_are_exact():
    wei = Asset("WEI", 18)
    vault = CoreVault(wei, total="12345678901234567890.123456789012345678")
    assert any(row["amount"] == "12345678901234567890.123456789012345678" for row in postings(vault.books.journal))


@pytest.mark.parametrize("why", ['=HYPERLINK("x")', "+1", "-1", "@x", "\t=1", 'say "so", and\nthen'])
def test_a_cell_is_no_formula_and_stays_one_cell(why):
    vault = CoreVault(USD, total="10", tradeable="5")
    vault.set_tradeable("4", why=why)
    cell = list(csv.DictReader(io.StringIO("".join(csv_lines(vault.books.journal)))))[-1]["why"]
    assert cell == (why if why.startswith("say") else f"'{why}")


# -- the commands ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path):
    with SQLite.open(tmp_path / "main.sleeves") as journal:
        lived(journal)
    return tmp_path / "main.sleeves"


def test_verify_says_what_holds(file, capsys):
    before = file.read_bytes()
    assert main(["verify", str(file)]) == 0
    assert "records hold" in capsys.readouterr().out
    assert file.read_bytes() == before


def test_export_gives_what_verify_reads(file, tmp_path, capsys):
    out = tmp_path / "a.jsonl"
    assert main(["export", str(file), "--out", str(out)]) == 0
    assert main(["verify", str(out)]) == 0
    assert main(["export", str(out), "--format", "csv"]) == 0
    text = capsys.readouterr().out
    assert "records hold" in text and ",".join(COLUMNS) in text
    assert main(["export", str(file), "--format", "parquet", "--out", str(tmp_path / "a.parquet")]) == 0
    assert len(polars.read_parquet(tmp_path / "a.parquet")) > 10


def test_nothing_is_written_over(file, tmp_path, capsys):
    out = tmp_path / "there.csv"
    out.write_text("mine")
    assert main(["export", str(file), "--format", "csv", "--out", str(out)]) == 2
    assert out.read_text() == "mine" and "there.csv" in capsys.readouterr().err


def test_parquet_needs_a_file(file, capsys):
    assert main(["export", str(file), "--format", "parquet"]) == 2
    assert "--out FILE" in capsys.readouterr().err


def test_a_damaged_journal_does_not_hold(file, tmp_path, capsys):
    lines = list(json_lines(lived()[0].books.journal))
    bad = tmp_path / "bad.jsonl"
    bad.write_text("".join(lines[:5] + lines[6:]))
    assert main(["verify", str(bad)]) == 1
    assert "journal line 6" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["verify"], ["export"]])
def test_what_is_no_journal_is_said(command, tmp_path, capsys):
    for name, content in (("text", b"hello"), ("empty", b"")):
        path = tmp_path / name
        path.write_bytes(content)
        assert main([*command, str(path)]) in (1, 2)
        assert main([*command, str(tmp_path / "nowhere")]) in (1, 2)
    assert "no journal" in capsys.readouterr().err


def test_a_trial_runs_and_its_seed_is_its_name(capsys):
    assert main(["trial", "--seed", "11", "--seeds", "2", "--rows", "60"]) == 0
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == ["seed 11", "seed 12"]


def test_a_trial_that_fails_says_how_to_run_it_again(capsys, monkeypatch):
    from sleeves.sim import trial

    def broken(self):
        raise AssertionError("seed 3, event 7: it did not")

    monkeypatch.setattr(trial.Trial, "run", broken)
    assert main(["trial", "--seed", "3"]) == 1
    assert "sleeves trial --seed 3 --rows 400" in capsys.readouterr().err


def test_a_record_that_cannot_be_written_is_said():
    with pytest.raises(SleevesError, match="cannot be written"):
        encode(Alert(float("nan"), Level.INFO, "x", "c", "t"))
