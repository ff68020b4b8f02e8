"""Borsh: what is written is read again, and bytes that are not what they were taken for are refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.pubkey import Pubkey

from sleeves.errors import InvalidMarket
from sleeves.venues.drift.borsh import NUMBERS, BadBytes, Reader, Record, blank, pack, unpack, write

SOMEBODY = str(Pubkey.from_bytes(bytes(range(32))))
INNER = Record("Inner", (("low", "i16"), ("who", "?key")))
ALL = Record(
    "All",
    (
        ("a", "u8"),
        ("b", "i64"),
        ("c", "u128"),
        ("d", "bool"),
        ("e", "key"),
        ("f", "text"),
        ("g", "bytes:3"),
        ("h", "enum:4"),
        ("i", "?u32"),
        ("j", "*u16"),
        ("k", INNER),
        ("l", "i128"),
    ),
)
GROWN = Record("Grown", (("at", "i64"), ("then", "u8"), ("more", "?u8")), frozenset({"then"}))


def keys() -> st.SearchStrategy[str]:
    return st.binary(min_size=32, max_size=32).map(lambda raw: str(Pubkey.from_bytes(raw)))


def numbers(kind: str) -> st.SearchStrategy[int]:
    size, signed = NUMBERS[kind]
    return st.integers(-(2 ** (8 * size - 1)), 2 ** (8 * size - 1) - 1) if signed else st.integers(0, 2 ** (8 * size) - 1)


VALUES = st.fixed_dictionaries(
    {
        "a": numbers("u8"),
        "b": numbers("i64"),
        "c": numbers("u128"),
        "d": st.booleans(),
        "e": keys(),
        "f": st.text(max_size=20),
        "g": st.binary(min_size=3, max_size=3),
        "h": st.integers(0, 3),
        "i": st.none() | numbers("u32"),
        "j": st.lists(numbers("u16"), max_size=5).map(tuple),
        "k": st.fixed_dictionaries({"low": numbers("i16"), "who": st.none() | keys()}),
        "l": numbers("i128"),
    }
)


@given(VALUES)
def test_what_is_packed_is_unpacked_again(values: dict[str, object]) -> None:
    assert unpack(ALL, pack(ALL, values)) == values


@given(VALUES, st.data())
def test_bytes_that_end_too_early_or_too_late_are_refused(values: dict[str, object], data: st.DataObject) -> None:
    raw = pack(ALL, values)
    with pytest.raises(BadBytes):
        unpack(ALL, raw[: data.draw(st.integers(0, len(raw) - 1))])
    with pytest.raises(BadBytes, match="left over"):
        unpack(ALL, raw + b"\0")


@given(st.binary(max_size=120))
def test_any_bytes_are_refused_or_are_what_would_be_written(raw: bytes) -> None:
    try:
        values = unpack(ALL, raw)
    except BadBytes:
        return
    assert pack(ALL, values) == raw


@pytest.mark.parametrize("kind", NUMBERS)
def test_both_ends_of_every_number(kind: str) -> None:
    size, signed = NUMBERS[kind]
    least, most = (-(2 ** (8 * size - 1)), 2 ** (8 * size - 1) - 1) if signed else (0, 2 ** (8 * size) - 1)
    for value in (least, most):
        assert Reader(write(kind, value, "it"), "it").number(kind, "it") == value
    for value in (least - 1, most + 1):
        with pytest.raises(InvalidMarket, match=f"it is {value}"):
            write(kind, value, "it")


def test_the_bytes_are_those_of_the_specification() -> None:
    assert write("u32", 1, "it") == b"\1\0\0\0"
    assert write("i16", -2, "it") == b"\xfe\xff"
    assert write("?u8", None, "it") == b"\0"
    assert write("?u8", 7, "it") == b"\1\7"
    assert write("*u16", (1, 2), "it") == b"\2\0\0\0\1\0\2\0"
    assert write("text", "aé", "it") == b"\3\0\0\0a\xc3\xa9"
    assert write("key", SOMEBODY, "it") == bytes(range(32))
    assert write("bool", True, "it") == b"\1"


@pytest.mark.parametrize(
    ("kind", "raw", "said"),
    [
        ("bool", b"\2", "0 or 1"),
        ("?u8", b"\2\0", "0 or 1"),
        ("enum:4", b"\4", "there are 4"),
        ("text", b"\1\0\0\0\xff", "UTF-8"),
        ("text", b"\2\0\0\0a", "needs 2 bytes at 4, and 1"),
        ("*u8", b"\xff\xff\xff\xff", "would have 4294967295 items"),
        ("*u8", b"\1\x10\0\0" + bytes(5000), "would have 4097 items"),
    ],
)
def test_what_the_program_cannot_have_written_is_refused(kind: str, raw: bytes, said: str) -> None:
    with pytest.raises(BadBytes, match=said):
        Reader(raw, "it").value(kind, "x")


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("u8", True),
        ("u8", 1.0),
        ("u8", "1"),
        ("bool", 1),
        ("key", "not an address"),
        ("key", "1" * 31),
        ("bytes:3", b"ab"),
        ("enum:4", 4),
        ("enum:4", -1),
        ("enum:4", True),
        (INNER, 5),
        ("f32", 1),
    ],
)
def test_what_a_type_cannot_hold_is_not_written(kind: str | Record, value: object) -> None:
    with pytest.raises(InvalidMarket):
        write(kind, value, "it")


def test_a_field_too_few_or_too_many_is_not_written() -> None:
    with pytest.raises(InvalidMarket, match="needs who"):
        pack(INNER, {"low": 1})
    with pytest.raises(InvalidMarket, match="has no high"):
        pack(INNER, {"low": 1, "who": None, "high": 2})


def test_a_record_may_stop_where_an_older_program_did_and_nowhere_else() -> None:
    assert unpack(GROWN, bytes(8)) == {"at": 0}
    assert unpack(GROWN, bytes(8) + b"\5\0") == {"at": 0, "then": 5, "more": None}
    with pytest.raises(BadBytes):
        unpack(GROWN, bytes(8) + b"\5")
    assert pack(GROWN, {"at": 0}) == bytes(8)
    with pytest.raises(InvalidMarket, match="needs more"):
        pack(GROWN, {"at": 0, "then": 5})
    with pytest.raises(InvalidMarket, match="needs then"):
        pack(GROWN, {"at": 0, "more": 5})


def test_a_blank_is_all_zeros() -> None:
    assert not any(pack(ALL, blank(ALL)))
