"""What was run, told for certain: whatever a function comes by counts, and what cannot be told is refused."""

from __future__ import annotations

import functools
import importlib
import logging
import subprocess
import sys
import threading
from collections import OrderedDict, defaultdict
from enum import Enum

import attrs
import numpy as np
import pandas as pd
import pytest

from sleeves import BTC, USD, Instrument
from sleeves.errors import VaultError
from sleeves.market import HOUR
from sleeves.sim import Rules, Tape
from sleeves.sweeps import sweep
from sleeves.sweeps.identity import code_of, told
from sweep_desks import MARKET, RULES, cross, walk

HEAD = "from sweep_desks import cross\n"

CHANGES = {
    "a constant imported by name": (
        {"made": HEAD + "from conf import SIZE\ndef make(fast):\n    return cross(fast, 30, SIZE)\n", "conf": "SIZE = '50%'\n"},
        {"conf": "SIZE = '10%'\n"},
    ),
    "a constant under another name": (
        {"made": HEAD + "import conf as c\ndef make(fast):\n    return cross(fast, 30, c.SIZE)\n", "conf": "SIZE = '50%'\n"},
        {"conf": "SIZE = '10%'\n"},
    ),
    "a name in a comprehension": (
        {"made": "from eng import mine\ndef make(fast):\n    return [mine(f) for f in (fast,)][0]\n", "eng": "mine = 1\n"},
        {"eng": "mine = 2\n"},
    ),
    "a name in a generator": (
        {"made": "from eng import mine\ndef make(fast):\n    return next(mine(f) for f in (fast,))\n", "eng": "def mine(f): return 1\n"},
        {"eng": "def mine(f): return 2\n"},
    ),
    "a name in a function within": (
        {
            "made": "import eng\ndef make(fast):\n    def inner():\n        return eng.mine()\n    return inner()\n",
            "eng": "def mine(): return 1\n",
        },
        {"eng": "def mine(): return 2\n"},
    ),
    "what is imported within": (
        {"made": "def make(fast):\n    from eng import mine\n    return mine()\n", "eng": "def mine(): return 1\n"},
        {"eng": "def mine(): return 2\n"},
    ),
    "what that uses in turn": (
        {"made": "import eng\ndef make(fast):\n    return eng.mine()\n", "eng": "import deeper\n", "deeper": "ONE = 1\n"},
        {"deeper": "ONE = 2\n"},
    ),
    "the first of two packages": (
        {
            "made": "from pa import one\nfrom pb import two\ndef make(fast):\n    return one() + two()\n",
            "pa/__init__": "def one(): return 1\n",
            "pb/__init__": "def two(): return 1\n",
        },
        {"pa/__init__": "def one(): return 2\n"},
    ),
    "a module beside it in a package": (
        {
            "made": "from pa import make\n",
            "pa/__init__": "from .inner import make\n",
            "pa/inner": "from . import sizes\ndef make(f):\n    return sizes.ONE\n",
            "pa/sizes": "ONE = 1\n",
        },
        {"pa/sizes": "ONE = 2\n"},
    ),
    "the package above": (
        {"made": "from pa.inner import make\n", "pa/__init__": "ONE = 1\n", "pa/inner": "import pa\ndef make(f):\n    return pa.ONE\n"},
        {"pa/__init__": "ONE = 2\n"},
    ),
    "a package without a file, imported within": (
        {"made": "def make(f):\n    from ns.deep import one\n    return one\n", "ns/deep": "one = 1\n"},
        {"ns/deep": "one = 2\n"},
    ),
    "the class of a value": (
        {
            "made": "from eng import Mine\nONE = Mine()\ndef make(fast):\n    return ONE.go()\n",
            "eng": "class Mine:\n    def go(self): return 1\n",
        },
        {"eng": "class Mine:\n    def go(self): return 2\n"},
    ),
    "a file of its own": ({"made": "def make(fast):\n    return 1\n"}, {"made": "def make(fast):\n    return 2\n"}),
}


@pytest.fixture
def told_of(tmp_path, monkeypatch):
    """Writes modules, imports `made` as a new process would, and tells its `make`."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    names: set[str] = set()

    def gone():
        for name in [name for name in sys.modules if name.partition(".")[0] in names]:
            del sys.modules[name]

    def telling(files):
        gone()
        for name, text in files.items():
            names.add(name.partition("/")[0])
            path = tmp_path / f"{name}.py"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        importlib.invalidate_caches()
        return code_of(importlib.import_module("made").make)

    yield telling
    gone()


@pytest.mark.parametrize("what", CHANGES)
def test_whatever_of_the_users_files_a_function_comes_by_counts(told_of, what):
    before, changed = CHANGES[what]
    first = told_of(before)
    assert told_of(before) == first
    assert told_of({**before, "stranger": "1\n"}) == first, "a file that nobody imports"
    assert told_of(changed) != first
    assert told_of(before) == first


def test_a_constant_that_was_changed_has_its_trials_run_again(tmp_path, told_of):
    before, changed = CHANGES["a constant imported by name"]
    tape, found = walk(300), []
    for files in (before, before, changed):
        told_of(files)
        (trial,) = sweep(sys.modules["made"].make, {"fast": [3]}, tape, executor="here", rules=RULES, keep=tmp_path / "kept.db")
        found.append((trial.kept, trial["profit"]))
    assert [kept for kept, _ in found] == [False, True, False]
    assert found[0][1] == found[1][1] != found[2][1]


SIZE = "10%"
SIZES = {"small": "10%"}


def by_global(fast):
    return cross(fast, 30, SIZE)


def by_table(fast):
    return cross(fast, 30, SIZES["small"])


def through(fast):
    return by_global(fast)


class Maker:
    size = "10%"

    def __init__(self, slow=30):
        self.slow = slow

    def __call__(self, fast):
        return cross(fast, self.slow, self.size)

    def make(self, fast):
        return by_global(fast)

    @property
    def rate(self):
        return SIZE


@pytest.mark.parametrize("function", [by_global, through, Maker(), Maker().make, Maker, functools.partial(through, 3)], ids=range(6))
def test_the_value_of_a_global_counts_as_it_is_now(monkeypatch, function):
    """As in a notebook, or a script that takes it from its arguments: no source is another one."""
    before = code_of(function)
    monkeypatch.setattr(sys.modules[__name__], "SIZE", "20%")
    assert code_of(function) != before
    monkeypatch.undo()
    assert code_of(function) == before


def test_the_value_of_a_table_counts_and_so_does_what_is_in_an_object(monkeypatch):
    before = code_of(by_table)
    monkeypatch.setitem(SIZES, "small", "20%")
    assert code_of(by_table) != before
    assert code_of(Maker(30)) == code_of(Maker(30)) != code_of(Maker(31))
    assert code_of(Maker(30).make) != code_of(Maker(31).make)
    before = code_of(Maker())
    monkeypatch.setattr(Maker, "size", "20%")
    assert code_of(Maker()) != before


def test_what_stands_in_no_file_is_told_by_what_it_does():
    def written(text):
        space = {"__name__": "__main__"}
        exec(text, space)
        return code_of(space["make"])

    table = [
        "def make(f): return 1",
        "def make(f): return 2",
        "def make(f): return 1.0",
        "def make(f): return g()\ndef g(): return 1",
        "def make(f): return g()\ndef g(): return 2",
        "def make(f): return f in {'a', 'b'}",
        "def make(f): return f in {'a', 'c'}",
        "def make(f, x=1): return 1",
        "make = lambda f: 1",
    ]
    assert len({written(text) for text in table}) == len(table)
    assert [written(text) for text in table] == [written(text) for text in table]


def test_functions_of_one_line_are_two():
    a, b = (lambda r: {"x": 1}), (lambda r: {"x": 2})
    assert code_of(a) != code_of(b)
    assert code_of([1].append) != code_of([2].append)


class Way(Enum):
    UP = 1
    DOWN = 2


@attrs.frozen
class Terms:
    one: int
    seen: int = attrs.field(default=0, eq=False)


def test_values_of_other_kinds_are_told_apart():
    pairs = [
        (Way.UP, Way.DOWN),
        (Terms(1), Terms(2)),
        (Terms(1, 1), Terms(1, 2)),
        (OrderedDict(a=1), OrderedDict(a=2)),
        (OrderedDict(a=1), {"a": 1}),
        (defaultdict(int), defaultdict(list)),
        (np.array([1, 2]), np.array([1, 3])),
        (pd.DataFrame({"a": [1, 2]}), pd.DataFrame({"a": [1, 3]})),
        ([{"a": 1, "b": 2}], [{"b": 2, "a": 1}]),
        (range(3), range(4)),
        (Maker(1), Maker(2)),
        (logging.getLogger("a"), logging.getLogger("b")),
    ]
    for a, b in pairs:
        assert told(a) == told(a)
        assert told(a) != told(b)


LOCK = threading.Lock()


def locked(fast):
    with LOCK:
        return cross(fast, 30)


def test_what_cannot_be_told_is_refused_by_its_name(tmp_path):
    with pytest.raises(VaultError, match=r"locked uses LOCK: a _thread\.lock cannot be told"):
        sweep(locked, {"fast": [3]}, walk(300), executor="here", rules=RULES, keep=tmp_path / "kept.db")
    assert not (tmp_path / "kept.db").exists()
    whole = [1]
    whole.append(whole)
    with pytest.raises(VaultError, match="holds itself"):
        told(whole)


SCRIPT = """
from sleeves.sweeps.identity import code_of
from sleeves.engines import EmaCross
from sweep_desks import MARKET, cross
import numpy, pandas
ENGINE, NAMES, WAYS = EmaCross(MARKET, 3, 5), {"one", "two", "three"}, {"a": [cross, print]}
ARRAY = numpy.array([1.5, 2.5])
FRAME = pandas.DataFrame({"a": [1, 2]})
def make(fast):
    return ENGINE, NAMES, WAYS, ARRAY, FRAME, fast in {"x", "y", "z"}
print(code_of(make), code_of(cross))
"""


def test_another_process_tells_the_same(tmp_path):
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    ways = [str(one) for one in sys.path if one]
    run = f"import sys, runpy; sys.path[:0] = {ways}; runpy.run_path({str(path)!r}, run_name='__main__')"
    found = {
        subprocess.run([sys.executable, "-c", run], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1
    assert code_of(cross) in found.pop()


# -- tapes ---------------------------------------------------------------------------------------------------------------


def test_tapes_that_differ_in_their_interval_alone_are_two(tmp_path):
    whole = walk(400)
    columns = {what: getattr(whole, what)[::2] for what in ("at", "open", "high", "low", "close")}
    tapes = [Tape.from_units(MARKET, **columns, interval=interval) for interval in (HOUR // 60, HOUR // 30)]
    assert list(tapes[0].ends()) != list(tapes[1].ends())
    assert tapes[0].digest() != tapes[1].digest()
    kept = [sweep(cross, {"fast": [3]}, tape, executor="here", rules=RULES, keep=tmp_path / "kept.db", digest=True)[0] for tape in tapes]
    assert [trial.kept for trial in kept] == [False, False]
    assert kept[0].digest != kept[1].digest
    assert told(Rules()) == told(Rules())


def test_a_tape_that_has_volume_is_another_one():
    at = [1_600_000_000_000_000_000]
    market = Instrument("BTC/USD", base=BTC, quote=USD, tick="0.01", lot="0.00000001")
    price = {what: [100] for what in ("open", "high", "low", "close")}
    without, none = Tape.from_units(market, at=at, **price), Tape.from_units(market, at=at, **price, volume=[0])
    assert without.digest() != none.digest()
