"""Bytes of an account to a record and back, by a table: the same bytes come out that went in, spare ones included.

A record is a plain dict: integers as they are (a yes-or-no and an enum too), addresses as base58 text, names and padding as bytes,
parts as dicts and lists of dicts, and what lies beyond the layout under `TAIL`. `accounts` makes the strict, typed views of it.

It refuses to know what is plausible, and which layout is the right one.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from solders.pubkey import Pubkey

from .layouts import WIDTHS, Field, Layout

__all__ = ["TAIL", "Codec", "Record"]

Record = dict[str, Any]
TAIL: Final = "tail"
"""The record's key for bytes beyond the layout's size (market accounts of Velocity have 256 spare ones); absent when there are none."""

_CODES: Final = {"u8": "B", "i8": "b", "u16": "H", "i16": "h", "u32": "I", "i32": "i", "u64": "Q", "i64": "q"}
_Read = Callable[[Sequence[Any], int], Record]


class Codec:
    """Reads and writes one layout. It holds no state between calls, and may be shared."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self._head = layout.discriminator or b""
        self._struct = struct.Struct("<" + _format(layout))
        self._read, _ = _reader(layout)

    def decode(self, data: bytes) -> Record:
        """The record of `data`. A ValueError when it is shorter than the layout, or begins with another discriminator."""
        size = self.layout.size
        if len(data) < size:
            raise ValueError(f"a {self.layout.name} of {self.layout.version} has {size} bytes at least, and here are {len(data)}")
        head = len(self._head)
        if data[:head] != self._head:
            raise ValueError(f"a {self.layout.name} begins with {self._head.hex()}, and here it is {bytes(data[:head]).hex()}")
        record = self._read(self._struct.unpack_from(data, head), 0)
        if len(data) > size:
            record[TAIL] = bytes(data[size:])
        return record

    def encode(self, record: Mapping[str, Any]) -> bytes:
        """The bytes of a record. A ValueError that names the field when a value does not fit, is missing, or is none of the layout's."""
        values: list[Any] = []
        tail = record.get(TAIL, b"")
        _write(self.layout, {name: value for name, value in record.items() if name != TAIL}, values, self.layout.name)
        return self._head + self._struct.pack(*values) + bytes(tail)

    def blank(self) -> Record:
        """The record of an account of zeros: to start one's own from."""
        return self.decode(self._head.ljust(self.layout.size, b"\0"))


def _format(layout: Layout) -> str:
    out = []
    for one in layout.fields:
        if one.of is not None:
            out.append(_format(one.of) * one.count)
        else:
            out.append(_CODES.get(one.kind) or f"{one.size}s")
    return "".join(out)


def _unsigned(data: bytes) -> int:
    return int.from_bytes(data, "little")


def _signed(data: bytes) -> int:
    return int.from_bytes(data, "little", signed=True)


def _address(data: bytes) -> str:
    return str(Pubkey(data))


_CONVERSIONS: Final[Mapping[str, Callable[[bytes], Any]]] = {"u128": _unsigned, "i128": _signed, "key": _address}


def _reader(layout: Layout) -> tuple[_Read, int]:
    """A function that makes the record of a layout from flat values, and how many of them it takes."""
    plain = [one for one in layout.fields if one.of is None]
    conversions = [(one.name, _CONVERSIONS[one.kind]) for one in plain if one.kind in _CONVERSIONS]
    names = [one.name for one in layout.fields]
    if len(plain) == len(layout.fields):
        width = len(names)

        def flat(values: Sequence[Any], at: int) -> Record:
            record = dict(zip(names, values[at : at + width], strict=True))
            for name, convert in conversions:
                record[name] = convert(record[name])
            return record

        return flat, width
    steps: list[tuple[Field, _Read | None, int, int]] = []
    start = 0
    for one in layout.fields:
        if one.of is None:
            steps.append((one, None, start, 1))
            start += 1
        else:
            read, width = _reader(one.of)
            steps.append((one, read, start, width))
            start += width * one.count

    def nested(values: Sequence[Any], at: int) -> Record:
        record: Record = {}
        for one, read, first, width in steps:
            if read is None:
                record[one.name] = values[at + first]
            elif one.many:
                record[one.name] = [read(values, at + first + width * each) for each in range(one.count)]
            else:
                record[one.name] = read(values, at + first)
        for name, convert in conversions:
            record[name] = convert(record[name])
        return record

    return nested, start


def _write(layout: Layout, record: Mapping[str, Any], values: list[Any], path: str) -> None:
    if record.keys() != layout.by_name.keys():
        missing = sorted(layout.by_name.keys() - record.keys())
        unknown = sorted(record.keys() - layout.by_name.keys())
        raise ValueError(f"{path} of {layout.version}: " + "; ".join(_named(missing, "missing") + _named(unknown, "not in the layout")))
    for one in layout.fields:
        value = record[one.name]
        here = f"{path}.{one.name}"
        if one.of is not None:
            parts = value if one.many else [value]
            if len(parts) != one.count:
                raise ValueError(f"{here} has {one.count} slots, and here are {len(parts)}")
            for each, part in enumerate(parts):
                _write(one.of, part, values, f"{here}.{each}" if one.many else here)
        else:
            values.append(_packed(one, value, here))


def _named(names: Sequence[str], what: str) -> list[str]:
    return [f"{', '.join(names)} {what}"] if names else []


def _packed(one: Field, value: Any, here: str) -> Any:
    if one.kind == "key":
        try:
            return bytes(Pubkey.from_string(value))
        except (TypeError, ValueError) as wrong:
            raise ValueError(f"{here} is an address in base58, and {value!r} is not") from wrong
    if one.kind == "bytes":
        if not isinstance(value, bytes) or len(value) != one.size:
            raise ValueError(f"{here} is {one.size} bytes, and {value!r} is not")
        return value
    if not isinstance(value, int):
        # A record is data that somebody put together: whatever is wrong in it is a wrong value of that field.
        raise ValueError(f"{here} is a whole number, and {value!r} is not")  # noqa: TRY004
    bits = 8 * WIDTHS[one.kind]
    low, high = (0, 2**bits - 1) if one.kind[0] == "u" else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    if not low <= value <= high:
        raise ValueError(f"{here} is a {one.kind}, and {value} is outside it")
    return value.to_bytes(16, "little", signed=one.kind[0] == "i") if bits == 128 else value
