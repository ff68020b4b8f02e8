"""How far something long has come: told to a function, drawn as a bar, or left out."""

from __future__ import annotations

import subprocess
import sys

import pytest

from sleeves import USD, Books, CoreVault
from sleeves.past.table import read_all
from sleeves.progress import EACH, FEW, bar, told
from sleeves.verify import verify


@pytest.mark.parametrize(("count", "calls"), [(0, []), (1, [1]), (EACH, [EACH]), (EACH + 1, [EACH, 1]), (3 * EACH, [EACH] * 3)])
def test_a_function_is_told_how_many_more_are_done(count, calls):
    heard = []
    assert list(told(range(count), "rows", heard.append)) == list(range(count))
    assert heard == calls


def test_a_bar_is_drawn_when_it_is_asked_for_and_goes_away(capsys):
    assert list(told(iter("abc"), "letters", True, total=3)) == ["a", "b", "c"]
    drawn = capsys.readouterr().err
    assert " letters" in drawn
    assert drawn.endswith("\r"), "nothing of it is left"


@pytest.mark.parametrize("progress", [None, False])
def test_where_output_goes_to_a_file_nothing_is_drawn(progress, capsys):
    assert sum(1 for _ in told(range(FEW + 1), "rows", progress)) == FEW + 1
    with bar(None, "rows", progress):
        pass
    assert capsys.readouterr() == ("", "")


def test_few_things_import_nothing_and_many_do_without_tqdm():
    code = (
        "import sys\n"
        "from sleeves.progress import FEW, told\n"
        "assert len(list(told(range(FEW - 1), 'rows'))) == FEW - 1\n"
        "assert 'tqdm' not in sys.modules\n"
        "sys.modules['tqdm'] = None\n"
        "assert len(list(told(range(FEW), 'rows', True))) == FEW\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_who_leaves_early_leaves_no_bar(capsys):
    for one in told(range(100), "rows", True):
        if one == 3:
            break
    assert capsys.readouterr().err.endswith("\r"), "nothing of it is left"


def test_a_journal_is_verified_record_by_record():
    books = Books()
    vault = CoreVault(USD, total="10", tradeable="5", books=books)
    vault.set_tradeable("4")
    heard = []
    verdict = verify(books.journal, progress=heard.append)
    assert sum(heard) == verdict.records == len(books.journal)


def test_an_import_reads_on_whatever_is_drawn(capsys):
    read = []
    assert read_all(range(FEW + 5), read.append, False) == ()
    assert len(read) == FEW + 5
    assert capsys.readouterr() == ("", "")
