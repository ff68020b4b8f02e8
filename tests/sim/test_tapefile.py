"""The file of a tape: what is opened is what was saved, from many processes at once, and what is no such file is refused."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
from array import array
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from copy import deepcopy
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sleeves import QUIET, CoreVault, Desk
from sleeves.amm import ConstantProduct
from sleeves.engines import Trend
from sleeves.errors import BadTape
from sleeves.market import HOUR, MINUTE, SECOND, Basis, FundingRate, Instrument, Kind, Perpetual
from sleeves.money import BTC, SOL, USD, Asset
from sleeves.news import FairValue, PoolState, Reading, TokenFacts
from sleeves.sim import replay, tapefile
from sleeves.sim.columns import PART
from sleeves.sim.reading import Count, Repairs
from sleeves.sim.tape import SAMPLE_INSTRUMENT, Depth, Tape
from sleeves.sim.tapefile import MAGIC, TapeWriter
from strategies import instruments, law

BTCUSD = Instrument("BTC/USD", base=BTC, quote=USD, tick="0.01", lot="0.001")
PERP = Instrument("BTC-PERP", base=BTC, quote=USD, tick="0.01", lot="0.001", kind=Kind.PERP, contract=Perpetual(initial_bp=2_000))
T0 = 1_506_816_000 * SECOND
MSOL, BONK = Asset("mSOL", 9), Asset("BONK", 5)

ALONG: list[Any] = [
    Reading("sentiment", T0 + 1, 0.1 + 0.2),
    Reading("count", T0 + 2, 7),
    FairValue(MSOL, SOL, T0 + 3, 10**30, 10**29 + 1, "stake pool"),
    FundingRate(PERP, T0 + 4, -7, 2**62, HOUR, Basis.ORACLE),
    TokenFacts(BONK, T0 + 5, True, False, USD("10.5"), 280_000, "a chain"),
]


def small(market: Instrument = BTCUSD, rows: int = 5, step: int = HOUR) -> Tape:
    close = [100 + row for row in range(rows)]
    columns = {"open": close, "high": [price + 2 for price in close], "low": [price - 3 for price in close], "close": close}
    return Tape.from_units(market, at=[T0 + step * row for row in range(rows)], volume=close, **columns, name="small")


def told(tape: Tape) -> tuple[Any, ...]:
    """All that a tape says."""
    what = ("instrument", "interval", "has_volume", "repairs", "name", "funding", "depths", "news", "outside")
    return tape.digest(), list(tape.ends()), *(getattr(tape, name) for name in what)


# -- what is saved is what is opened -----------------------------------------------------------------------------------------


def test_a_saved_tape_is_the_tape(tmp_path: Path) -> None:
    sample = Tape.sample()
    sample.save(tmp_path / "sample.tape")
    tape = Tape.open_file(tmp_path / "sample.tape", verify=True)
    assert told(tape) == told(sample)
    assert list(tape.rows()) == list(sample.rows())
    assert (tmp_path / "sample.tape").stat().st_size < 6 * 8 * len(sample) + 2_000
    assert np.frombuffer(tape.close, "int64").tolist() == list(sample.close)
    assert [path.name for path in tmp_path.iterdir()] == ["sample.tape"]


def test_all_that_lies_along_it_is_kept_and_pools_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "along.tape"
    rates = [FundingRate(PERP, T0 + HOUR, 1, 5, HOUR), FundingRate(PERP, T0 + 2 * HOUR, -10, 7, 8 * HOUR, Basis.INDEX)]
    books = [Depth(T0, ((100, 5), (99, 6)), ((101, 7),)), Depth(T0 + 5, (), ((101, 2**62),))]
    late = FundingRate(PERP, T0 + 1_000 * HOUR, 1, 5, HOUR)
    tape = small(PERP).with_funding([*rates, late]).with_depth(books).with_news(ALONG)
    tape.save(path)
    again = Tape.open_file(path, verify=True)
    assert told(again) == told(tape)
    assert again.outside == 1
    assert [type(one.value) for one in again.news if isinstance(one, Reading)] == [float, int]
    pooled = tape.with_news([PoolState(PERP, T0 + 9, ConstantProduct(SOL("1").units, USD("1").units, 3_000))])
    with pytest.raises(BadTape, match="PoolState cannot be kept in a file"):
        pooled.save(path)
    assert told(Tape.open_file(path)) == told(tape)


def test_repairs_are_kept(tmp_path: Path) -> None:
    rows = {"ts": [7200, 0, 36000], "open": ["1", "2.001", "3"], "high": ["1", "3", "3"], "low": ["1", "1", "3"], "close": ["1", "2", "3"]}
    tape = Tape.from_columns(BTCUSD, **rows, repair=True)
    assert tape.repairs == Repairs(
        off_tick=Count(1, (2,)), unsorted=Count(1, (2,)), gaps=1, missing_bars=3, longest_gap_ns=8 * HOUR, longest_gap_row=3
    )
    tape.save(tmp_path / "mended.tape")
    assert told(Tape.open_file(tmp_path / "mended.tape", verify=True)) == told(tape)


@law
@given(market=instruments(), rows=st.integers(1, 40), volume=st.booleans(), ticks=st.booleans(), data=st.data())
def test_any_tape_comes_back(
    tmp_path_factory: pytest.TempPathFactory, market: Instrument, rows: int, volume: bool, ticks: bool, data: Any
) -> None:
    steps = data.draw(st.lists(st.sampled_from([1, 5, HOUR]), min_size=rows, max_size=rows))
    at = [T0 + sum(steps[: row + 1]) for row in range(rows)]
    most = min(10**6, (2**63 - 1) // market.tick_units)
    price = [market.tick_units * data.draw(st.integers(1, most)) for _ in range(rows)]
    lots = data.draw(st.lists(st.integers(0, 2**63 - 1), min_size=rows, max_size=rows)) if volume else None
    if ticks:
        tape = Tape.from_ticks(market, at=at, price=price, size=lots)
    else:
        tape = Tape.from_units(market, at=at, open=price, high=price, low=price, close=price, volume=lots)
    path = tmp_path_factory.getbasetemp() / "any.tape"
    tape.save(path)
    again = Tape.open_file(path, verify=True)
    assert told(again) == told(tape)
    first = data.draw(st.integers(0, rows - 1))
    assert told(pickle.loads(pickle.dumps(again.slice(first)))) == told(tape.slice(first))


def test_trades_keep_their_price_once(tmp_path: Path) -> None:
    tape = Tape.from_ticks(BTCUSD, at=range(1_000), price=range(1, 1_001), size=[1] * 1_000)
    tape.save(tmp_path / "trades.tape")
    again = Tape.open_file(tmp_path / "trades.tape")
    assert again.open is again.high is again.low is again.close
    assert told(again) == told(tape)
    assert (tmp_path / "trades.tape").stat().st_size < 3 * 8 * 1_000 + 1_500


def test_a_slice_is_a_view_of_the_file(tmp_path: Path) -> None:
    Tape.sample().save(tmp_path / "sample.tape")
    tape = Tape.open_file(tmp_path / "sample.tape")
    part = tape.slice(100, -100).slice(10, 50)
    assert np.shares_memory(np.frombuffer(part.close, "int64"), np.frombuffer(tape.close, "int64"))
    assert part.digest() == Tape.sample().slice(110, 150).digest()
    assert (part.path, Tape.sample().path) == (tmp_path / "sample.tape", None)
    assert tape.between(tape.at[7], tape.at[9]).digest() == Tape.sample().slice(7, 9).digest()


def test_a_desk_runs_on_the_file_as_on_the_tape(tmp_path: Path) -> None:
    def journal(tape: Tape) -> list[Any]:
        vault = CoreVault(USD, total="10000", tradeable="10000")
        desk = Desk(vault)
        desk.assign(Trend(SAMPLE_INSTRUMENT), to=vault.sleeve("quiet", QUIET, allocate="10000"))
        replay(desk, tape, progress=False)
        return list(desk.books.journal)

    Tape.sample().save(tmp_path / "sample.tape")
    records = journal(Tape.sample())
    assert journal(Tape.open_file(tmp_path / "sample.tape")) == records
    assert len(records) > 100


def test_memory_behind_a_reader_is_given_back_and_can_be_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tapefile, "KEPT_ROWS", 2_000)
    tape = small(rows=20_000, step=MINUTE)
    tape.save(tmp_path / "long.tape")
    again = Tape.open_file(tmp_path / "long.tape")
    for _ in range(2):
        blocks = [again.block(first, first + 1_000) for first in range(0, 20_000, 1_000)]
        assert [blocks[n] for n in (0, 9, 19)] == [tape.block(n * 1_000, n * 1_000 + 1_000) for n in (0, 9, 19)]
    assert again.digest() == tape.digest()


# -- processes share it ------------------------------------------------------------------------------------------------------


def _look(tape: Tape) -> tuple[str, int, int]:
    return tape.digest(), len(pickle.dumps(tape)), os.getpid()


def test_processes_open_the_file_that_a_tape_was_opened_from(tmp_path: Path) -> None:
    Tape.sample().save(tmp_path / "sample.tape")
    tape = Tape.open_file(tmp_path / "sample.tape")
    parts = [tape, tape.slice(10, 500), tape.with_news([Reading("sentiment", tape.at[5], 1.5)])]
    assert all(len(pickle.dumps(part)) < 3_000 for part in parts)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        seen = list(pool.map(_look, parts))
    assert [digest for digest, _, _ in seen] == [part.digest() for part in parts]
    assert {pid for _, _, pid in seen} != {os.getpid()}
    assert all(size < 3_000 for _, size, _ in seen)


def test_a_tape_with_other_columns_is_pickled_with_them(tmp_path: Path) -> None:
    from attrs import evolve

    tape = small()
    tape.save(tmp_path / "small.tape")
    opened = Tape.open_file(tmp_path / "small.tape")
    other = evolve(opened, close=array("q", [price - 1 for price in opened.close]))
    assert list(pickle.loads(pickle.dumps(other)).close) == [price - 1 for price in tape.close]
    assert told(deepcopy(opened)) == told(tape)


def test_a_file_that_has_changed_is_not_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "small.tape"
    small().save(path)
    tape = Tape.open_file(path)
    sent = pickle.dumps(tape)
    assert told(pickle.loads(sent)) == told(tape)
    os.utime(path, ns=(1, 1))  # a copy on another machine: of another time, and the same bytes
    assert told(pickle.loads(sent)) == told(tape)
    content = bytearray(path.read_bytes())
    content[-200] ^= 1  # in a column: the head is the same
    path.unlink()
    path.write_bytes(content)
    with pytest.raises(BadTape, match="is not what was written"):
        pickle.loads(sent)
    small(rows=6).save(path)
    assert told(tape) == told(small())  # what is open is what it was
    with pytest.raises(BadTape, match=r"small\.tape is not the file any more that this tape was opened from"):
        pickle.loads(sent)
    path.unlink()
    with pytest.raises(BadTape, match="cannot be read"):
        pickle.loads(sent)


def test_a_file_that_changes_while_it_is_opened_again_is_not_taken_for_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, plain = tmp_path / "small.tape", tapefile.map_file
    small().save(path)
    sent = pickle.dumps(Tape.open_file(path))
    os.utime(path, ns=(1, 1))
    other = small().slice(0)
    other.close[0] = other.low[0]

    def and_then(*given: Any) -> Any:
        opened = plain(*given)
        other.save(path)  # between the first look and the second
        return opened

    monkeypatch.setattr(tapefile, "map_file", and_then)
    assert other.digest() != small().digest()
    with pytest.raises(BadTape, match=r"small\.tape is not the file any more"):
        pickle.loads(sent)


# -- parts -------------------------------------------------------------------------------------------------------------------


def rows_of(tape: Tape, first: int, last: int) -> dict[str, Any]:
    return {name: getattr(tape, name)[first:last] for name in ("at", "open", "high", "low", "close", "volume")}


@pytest.mark.parametrize("size", [1, 999, 5_000])
def test_a_tape_is_written_in_parts(tmp_path: Path, size: int) -> None:
    sample = Tape.sample().slice(0, 2_000 if size == 1 else None)
    with TapeWriter(tmp_path / "parts.tape", SAMPLE_INSTRUMENT, name=sample.name) as writer:
        for first in range(0, len(sample), size):
            writer.append(**rows_of(sample, first, first + size))
            writer.append(**rows_of(sample, 0, 0))  # an empty part is none
        assert writer.rows == len(sample)
        assert not (tmp_path / "parts.tape").exists()
    tape = Tape.open_file(tmp_path / "parts.tape", verify=True)
    assert told(tape)[:5] == told(sample)[:5]
    assert [path.name for path in tmp_path.iterdir()] == ["parts.tape"]


def test_trades_are_written_in_parts(tmp_path: Path) -> None:
    with TapeWriter(tmp_path / "trades.tape", BTCUSD) as writer:
        for first in range(0, 100, 10):
            writer.append(at=range(first, first + 10), price=range(first + 1, first + 11), size=np.arange(first, first + 10))
    tape = Tape.open_file(tmp_path / "trades.tape", verify=True)
    whole = Tape.from_ticks(BTCUSD, at=range(100), price=range(1, 101), size=range(100), name="trades.tape")
    assert told(tape) == told(whole)
    assert tape.open is tape.low


def test_a_part_that_cannot_be_true_is_refused_whole_and_the_next_may_follow(tmp_path: Path) -> None:
    with TapeWriter(tmp_path / "parts.tape", BTCUSD) as writer:
        writer.append(at=[1, 2], price=[5, 6])
        for at, price, says in (
            ([3, 4], [7, 0], "row 4: open 0 is not a positive"),
            ([2, 4], [7, 8], "row 3: at 2 does not come after that of the row before it, 2"),
            ([3], [7, 8], "row 4: the columns differ in length: at 1, open 2"),
            ([3, 4.5], [7, 8], "row 2: at 4.5 is not a whole number"),
        ):
            with pytest.raises(BadTape, match=says):
                writer.append(at=at, price=price)
        with pytest.raises(BadTape, match="this part has at, price, size, and those before had at, price"):
            writer.append(at=[3], price=[7], size=[1])
        with pytest.raises(BadTape, match="a part has at, open, high, low, close and volume, or at, price and size; not at, open"):
            writer.append(at=[3], open=[7])
        writer.append(at=[3], price=[7])
    with pytest.raises(BadTape, match="is closed"):
        writer.append(at=[4], price=[7])
    writer.close()
    assert list(Tape.open_file(tmp_path / "parts.tape", verify=True).close) == [5, 6, 7]


def test_a_block_left_by_an_error_leaves_no_file_and_what_was_there_before(tmp_path: Path) -> None:
    path = tmp_path / "parts.tape"
    small().save(path)

    def broken_off() -> None:
        with TapeWriter(path, BTCUSD) as writer:
            writer.append(at=[1], price=[5])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        broken_off()
    assert told(Tape.open_file(path)) == told(small())
    with pytest.raises(BadTape, match="there are no rows"), TapeWriter(tmp_path / "none.tape", BTCUSD):
        pass
    with pytest.raises(BadTape, match="after the year 2262"), TapeWriter(tmp_path / "late.tape", BTCUSD, interval=HOUR) as writer:
        writer.append(at=[2**63 - HOUR], price=[5])
    assert [one.name for one in tmp_path.iterdir()] == ["parts.tape"]


def test_the_files_interval_is_the_most_common_step_unless_given(tmp_path: Path) -> None:
    for interval, expected in ((None, MINUTE), (HOUR, HOUR)):
        with TapeWriter(tmp_path / "steps.tape", BTCUSD, interval=interval) as writer:
            for at in (T0, T0 + MINUTE, T0 + 2 * MINUTE, T0 + 9 * MINUTE):
                writer.append(at=[at], open=[5], high=[5], low=[5], close=[5])
        tape = Tape.open_file(tmp_path / "steps.tape", verify=True)
        assert (tape.interval, tape.repairs.gaps, tape.has_volume) == (expected, int(interval is None), False)
    for wrong in (0, -1, 1.5):
        with pytest.raises(BadTape, match="must be a positive whole number"):
            TapeWriter(tmp_path / "x", BTCUSD, interval=wrong)  # type: ignore[arg-type]
    with pytest.raises(BadTape, match="of an Instrument"):
        TapeWriter(tmp_path / "x", "BTC/USD")  # type: ignore[arg-type]


def test_where_a_file_cannot_be_written_none_is_left(tmp_path: Path) -> None:
    with pytest.raises(BadTape, match="cannot be written"):
        small().save(tmp_path / "no folder" / "small.tape")
    (tmp_path / "folder").mkdir()
    with pytest.raises(BadTape, match="cannot be written"):
        small().save(tmp_path / "folder")
    with pytest.raises(BadTape, match="cannot be written"), TapeWriter(tmp_path / "no folder" / "small.tape", BTCUSD) as writer:
        writer.append(at=[1], price=[1])
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_rows_that_cannot_be_true_are_not_saved(tmp_path: Path) -> None:
    at, price = array("q", [1, 2]), array("q", [5, 0])
    with pytest.raises(BadTape, match="row 2: open 0"):
        Tape(BTCUSD, 1, at, price, price, price, price, price).save(tmp_path / "wrong.tape")
    assert not list(tmp_path.iterdir())


# -- torn, foreign, hostile --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole() -> bytes:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "whole.tape"
        small(PERP).with_news(ALONG).save(path)
        return path.read_bytes()


def refused(path: Path, content: bytes, *, verify: bool = False) -> str:
    path.write_bytes(content)
    with pytest.raises(BadTape) as caught:
        Tape.open_file(path, verify=verify)
    return str(caught.value)


def test_a_file_torn_at_any_byte_is_refused(tmp_path: Path, whole: bytes) -> None:
    for size in [*range(600), *range(600, len(whole), 9), len(whole) - 1]:
        refused(tmp_path / "torn.tape", whole[:size])
    refused(tmp_path / "torn.tape", whole + b"\0")
    refused(tmp_path / "torn.tape", whole + whole)


def test_any_flipped_bit_is_found(tmp_path: Path, whole: bytes) -> None:
    """Of the head and of what lies along it, by opening; of the columns, by verifying."""
    length = int.from_bytes(whole[16:24], "little")
    start = (64 + length + 63) // 64 * 64
    columns = range(start, start + 6 * 8 * 5)
    for place in [*range(start), *columns[::5], *range(columns[-1], len(whole), 3)]:
        bit = 1 << place % 8
        content = whole[:place] + bytes([whole[place] ^ bit]) + whole[place + 1 :]
        refused(tmp_path / "flipped.tape", content, verify=place in columns)


@law
@given(content=st.binary(max_size=200) | st.binary(max_size=200).map(MAGIC.__add__))
def test_bytes_of_any_kind_are_no_tape(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    refused(tmp_path_factory.getbasetemp() / "bytes.tape", content)


def forged(whole: bytes, change: Callable[[dict[str, Any]], object] = lambda head: None, text: bytes | None = None) -> bytes:
    """The file with another head, whose digest is right."""
    length = int.from_bytes(whole[16:24], "little")
    start = (64 + length + 63) // 64 * 64
    head = json.loads(whole[64 : 64 + length])
    change(head)
    told = json.dumps(head).encode() if text is None else text
    rest = bytes(-(64 + len(told)) % 64) + whole[start:]
    size = 64 + len(told) + len(rest)
    fields = MAGIC + (1).to_bytes(4, "little") + bytes(4) + len(told).to_bytes(8, "little") + size.to_bytes(8, "little")
    return fields + hashlib.sha256(told).digest() + told + rest


FORGED: list[tuple[Callable[[dict[str, Any]], object], str]] = [
    (lambda head: head.clear(), "rows is None"),
    (lambda head: head.update(rows=10**30), "rows is 1000"),
    (lambda head: head.update(rows=2**62), "are not what"),
    (lambda head: head.update(rows=0), "rows is 0"),
    (lambda head: head.update(rows=-1), "rows is -1"),
    (lambda head: head.update(rows=True), "rows is True"),
    (lambda head: head.update(rows="5"), "rows is '5'"),
    (lambda head: head.update(rows=4), "are not what"),
    (lambda head: head.update(along_bytes=0), "are not what"),
    (lambda head: head.update(along_bytes=2**62), "are not what"),
    (lambda head: head.update(along_sha256="00"), "along it is not what was written"),
    (lambda head: head.update(columns=None), "columns are None"),
    (lambda head: head.update(columns={"at": 0}), "columns are"),
    (lambda head: head["columns"].update(at="0"), "columns are"),
    (lambda head: head["columns"].update(at=True), "columns are"),
    (lambda head: head["columns"].update(at=6), "columns lie at"),
    (lambda head: head["columns"].update(at=-1), "columns lie at"),
    (lambda head: head["columns"].update(more=0), "columns are"),
    (lambda head: head.update(digests=[]), "columns lie at"),
    (lambda head: head.update(digests=[1] * 6), "no digests"),
    (lambda head: head.update(digests="abcdef"), "no digests"),
    (lambda head: head.update(interval=-1), "interval is -1"),
    (lambda head: head.update(interval=1.5), "interval is 1.5"),
    (lambda head: head.update(interval=2**63 - 1), "after the year 2262"),
    (lambda head: head.update(name=5), "names it 5"),
    (lambda head: head.update(gapped=1), "of gaps"),
    (lambda head: head.update(outside=None), "outside is None"),
    (lambda head: head.update(repairs=[]), "repairs are"),
    (lambda head: head["repairs"].update(gaps=-1), "gaps is -1"),
    (lambda head: head["repairs"].update(off_tick=[1, [-5]]), "off_tick"),
    (lambda head: head["repairs"].update(invented=[1, [5]]), "say invented, which this version knows nothing of"),
    (lambda head: head["repairs"].update(off_tick=["x", []]), "off_tick"),
    (lambda head: head["repairs"].update(off_tick=None), "off_tick"),
    (lambda head: head.update(instrument="BTC"), "an instrument is a symbol with its terms"),
    (lambda head: head.update(instrument=["BTC", {}]), "are of no instrument"),
    (lambda head: head["instrument"][1].update(base=5), "terms as text"),
    (lambda head: head["instrument"][1].update(base="BTC:x"), "are of no instrument"),
    (lambda head: head["instrument"][1].update(base="BTC:99999999999"), "are of no instrument"),
    (lambda head: head["instrument"][1].update(tick="0"), "are of no instrument"),
    (lambda head: head["instrument"][1].update(kind="future"), "are of no instrument"),
]


@pytest.mark.parametrize(("change", "says"), FORGED, ids=range(len(FORGED)))
def test_a_head_that_cannot_be_true_is_refused(tmp_path: Path, whole: bytes, change: Callable[[dict[str, Any]], object], says: str) -> None:
    assert Tape.open_file(_written(tmp_path / "same.tape", forged(whole)), verify=True).digest()
    message = refused(tmp_path / "forged.tape", forged(whole, change))
    assert message.startswith("forged.tape: ")
    assert says in message


def test_a_kind_of_repair_that_a_file_does_not_tell_of_was_not_made(tmp_path: Path, whole: bytes) -> None:
    path = _written(tmp_path / "older.tape", forged(whole, lambda head: head["repairs"].pop("nudged")))
    assert Tape.open_file(path, verify=True).repairs == Repairs()


@pytest.mark.parametrize("text", [b"", b"[]", b"5", b"{", b"\xff\xfe", b"[" * 100_000, b'{"rows":' + b"9" * 10_000 + b"}", b"nul"])
def test_a_head_that_is_no_table_is_refused(tmp_path: Path, whole: bytes, text: bytes) -> None:
    refused(tmp_path / "forged.tape", forged(whole, text=text))


def test_a_later_version_and_an_absurd_length_are_named(tmp_path: Path, whole: bytes) -> None:
    path = tmp_path / "one.tape"
    assert "of version 2.0, and this reads version 1.0" in refused(path, whole[:8] + (2).to_bytes(4, "little") + whole[12:])
    assert "of version 1.7" in refused(path, whole[:12] + (7).to_bytes(4, "little") + whole[16:])
    for length in (0, 2**63, len(whole)):
        assert f"its head cannot be {length} bytes long" in refused(path, whole[:16] + length.to_bytes(8, "little") + whole[24:])
    assert f"it was {len(whole)} bytes long, and {len(whole) - 1} are there" in refused(path, whole[:-1])
    assert "it is no file of a tape" in refused(path, b"ts,open,high,low,close\n" * 20)
    with pytest.raises(BadTape, match="cannot be read"):
        Tape.open_file(tmp_path / "not there")
    with pytest.raises(BadTape, match="cannot be read"):
        Tape.open_file(tmp_path)
    with pytest.raises(BadTape, match="cannot be read"):
        Tape.open_file("a\0b")


def along(whole: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    """The file with other things along it, whose digest is right."""
    length = int.from_bytes(whole[16:24], "little")
    head = json.loads(whole[64 : 64 + length])
    lies = json.loads(whole[len(whole) - head["along_bytes"] :])
    change(lies)
    text = json.dumps(lies).encode()
    cut = whole[: len(whole) - head["along_bytes"]] + text
    return forged(cut, lambda told: told.update(along_bytes=len(text), along_sha256=hashlib.sha256(text).hexdigest()))


ALONG_FORGED: list[Callable[[dict[str, Any]], object]] = [
    lambda lies: lies.clear(),
    lambda lies: lies.update(markets=5),
    lambda lies: lies.update(news={}),
    lambda lies: lies.update(news=[5]),
    lambda lies: lies.update(news=[[]]),
    lambda lies: lies.update(news=[["pool", 1]]),
    lambda lies: lies.update(news=[["reading", "x", T0]]),
    lambda lies: lies.update(news=[["reading", "x", T0, float("nan")]]),
    lambda lies: lies.update(news=[["reading", "x", T0, "1"]]),
    lambda lies: lies.update(news=[["fair", ["BTC", 8], ["BTC", 8], T0, 1, 1, ""]]),
    lambda lies: lies.update(news=[["fair", ["BTC", "8"], ["USD", 2], T0, 1, 1, ""]]),
    lambda lies: lies.update(funding=[[-1, T0 + HOUR, 1, 1, 1, "mark"]]),
    lambda lies: lies.update(funding=[[99, T0 + HOUR, 1, 1, 1, "mark"]]),
    lambda lies: lies.update(funding=[[0, T0 + HOUR, 1, 1, 1, "nobody"]]),
    lambda lies: lies.update(funding=[[0, T0 + HOUR, 1.5, 1, 1, "mark"]]),
    lambda lies: lies.update(funding=[[0, T0 + 2 * HOUR, 1, 1, 1, "mark"], [0, T0 + HOUR, 1, 1, 1, "mark"]]),
    lambda lies: lies.update(funding=[[0, T0 + 10**6 * HOUR, 1, 1, 1, "mark"]]),
    lambda lies: lies.update(depths=[[T0, [[5, 1]], [[4, 1]]]]),
    lambda lies: lies.update(depths=[[T0, [[5, 1, 1]], []]]),
    lambda lies: lies.update(depths=[[T0 - 5, [[5, 1]], []]]),
]


@pytest.mark.parametrize("change", ALONG_FORGED, ids=range(len(ALONG_FORGED)))
def test_what_cannot_lie_along_a_tape_is_refused(tmp_path: Path, whole: bytes, change: Callable[[dict[str, Any]], object]) -> None:
    assert Tape.open_file(_written(tmp_path / "same.tape", along(whole, lambda lies: None)), verify=True).news == tuple(ALONG)
    refused(tmp_path / "along.tape", along(whole, change))


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_rows_that_a_hostile_file_holds_are_found_by_verifying(tmp_path: Path, whole: bytes) -> None:
    length = int.from_bytes(whole[16:24], "little")
    start = (64 + length + 63) // 64 * 64
    head = json.loads(whole[64 : 64 + length])
    place = head["columns"]["low"]
    begin = start + 8 * 5 * place
    column = array("q", whole[begin : begin + 40])
    column[2] = 10**6
    content = whole[:begin] + column.tobytes() + whole[begin + 40 :]
    digests = [*head["digests"][:place], hashlib.sha256(column.tobytes()).hexdigest(), *head["digests"][place + 1 :]]
    path = _written(tmp_path / "hostile.tape", forged(content, lambda told: told.update(digests=digests)))
    assert len(Tape.open_file(path)) == 5
    with pytest.raises(BadTape, match=r"hostile\.tape: row 3: high 104 is below low 1000000") as caught:
        Tape.open_file(path, verify=True)
    assert caught.value.row == 3
    gapped = _written(tmp_path / "gapped.tape", forged(whole, lambda told: told.update(gapped=True)))
    with pytest.raises(BadTape, match="says True of gaps"):
        Tape.open_file(gapped, verify=True)


def test_a_long_file_is_opened_without_reading_its_rows(tmp_path: Path) -> None:
    rows = 4 * PART
    tape = small(rows=rows, step=MINUTE)
    tape.save(tmp_path / "long.tape")
    content = bytearray((tmp_path / "long.tape").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "torn.tape").write_bytes(content)
    assert len(Tape.open_file(tmp_path / "torn.tape")) == rows
    with pytest.raises(BadTape, match="is not what was written"):
        Tape.open_file(tmp_path / "torn.tape", verify=True)
