"""Borsh, as far as the program speaks it: numbers in little-endian, options, lists, text, addresses; read and written from tables.

    ORDER = Record("Deposit", (("market", "u16"), ("amount", "u64"), ("to", "?key")))
    pack(ORDER, {"market": 0, "amount": 1_000_000, "to": None})

A type is a word: `u8` to `u128` and `i8` to `i128`, `bool`, `key` (32 bytes, as base58 text), `text`, `bytes:N`, `enum:N` (one byte
below N), `?T` for an option, `*T` for a list; or another `Record`. Reading is strict: a yes-or-no is 0 or 1, an enum is one that
exists, text is UTF-8, nothing is left over and nothing is missing. It knows no event, no instruction and no deployment.
Source: the Borsh specification.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from attrs import frozen
from solders.pubkey import Pubkey

from ...errors import InvalidMarket, VenueError

__all__ = ["BadBytes", "Kind", "Many", "Reader", "Record", "blank", "pack", "unpack", "write"]

NUMBERS: Final[Mapping[str, tuple[int, bool]]] = {f"{sign}{8 * size}": (size, sign == "i") for sign in "ui" for size in (1, 2, 4, 8, 16)}
"""Each number's bytes, and whether it is signed."""
MOST_LISTED: Final = 4096
"""The most items of a list that are believed: the program's largest lists have 64."""


class BadBytes(VenueError):
    """Bytes that are not what they were taken for: names the field, the value and the rule."""


@frozen
class Record:
    """A list of named fields, in their order on the wire. `ends`: fields before which an older program may have stopped."""

    name: str
    fields: tuple[tuple[str, Kind], ...]
    ends: frozenset[str] = frozenset()


@frozen
class Many:
    """A list of records."""

    of: Record


Kind = str | Record | Many
"""The type of a field: a word (see the module), a record, or a list of one."""


class Reader:
    """Bytes, and how far they were read. Every method raises `BadBytes` where they end too early or are not what is asked for."""

    def __init__(self, data: bytes, what: str) -> None:
        self.data = data
        self.at = 0
        self.what = what

    @property
    def left(self) -> int:
        """Bytes that were not read yet."""
        return len(self.data) - self.at

    def take(self, size: int, name: str) -> bytes:
        """The next `size` bytes."""
        if size > self.left:
            raise BadBytes(f"{self.what}.{name} needs {size} bytes at {self.at}, and {self.left} of {len(self.data)} are left")
        self.at += size
        return self.data[self.at - size : self.at]

    def number(self, kind: str, name: str) -> int:
        """The next number of this width."""
        size, signed = NUMBERS[kind]
        return int.from_bytes(self.take(size, name), "little", signed=signed)

    def flag(self, name: str) -> bool:
        """The next yes-or-no, which is 0 or 1."""
        byte = self.number("u8", name)
        if byte > 1:
            raise BadBytes(f"{self.what}.{name} is {byte}; a yes-or-no is 0 or 1")
        return bool(byte)

    def value(self, kind: Kind, name: str) -> Any:
        """The next value of a type."""
        if isinstance(kind, Record):
            return self.record(kind, name)
        if isinstance(kind, Many):
            return tuple(self.record(kind.of, f"{name}[{at}]") for at in range(self._count(name)))
        if kind in NUMBERS:
            return self.number(kind, name)
        if kind == "bool":
            return self.flag(name)
        if kind == "key":
            return str(Pubkey.from_bytes(self.take(32, name)))
        if kind.startswith("?"):
            return self.value(kind[1:], name) if self.flag(name) else None
        if kind.startswith("*"):
            return tuple(self.value(kind[1:], f"{name}[{at}]") for at in range(self._count(name)))
        if kind.startswith("bytes:"):
            return self.take(int(kind[6:]), name)
        if kind.startswith("enum:"):
            number, most = self.number("u8", name), int(kind[5:])
            if number >= most:
                raise BadBytes(f"{self.what}.{name} is {number}; there are {most} of them, from 0")
            return number
        if kind == "text":
            raw = self.take(self.number("u32", name), name)
            try:
                return raw.decode()
            except UnicodeDecodeError:
                raise BadBytes(f"{self.what}.{name} is no UTF-8: {raw.hex()}") from None
        raise InvalidMarket(f"{kind!r} of {self.what}.{name} is no type of this table")

    def record(self, record: Record, name: str) -> dict[str, Any]:
        """The next fields of a record, by name. It stops where an older program did, if nothing is left there."""
        read: dict[str, Any] = {}
        for field, kind in record.fields:
            if field in record.ends and not self.left:
                break
            read[field] = self.value(kind, f"{name}.{field}" if name else field)
        return read

    def end(self) -> None:
        """Nothing may be left."""
        if self.left:
            raise BadBytes(f"{self.what}: {self.left} of {len(self.data)} bytes are left over")

    def _count(self, name: str) -> int:
        count = self.number("u32", name)
        if count > MOST_LISTED:
            raise BadBytes(f"{self.what}.{name} would have {count} items; at most {MOST_LISTED} can be")
        return count


def unpack(record: Record, data: bytes) -> dict[str, Any]:
    """A record's fields from exactly these bytes. Raises `BadBytes`."""
    reader = Reader(data, record.name)
    read = reader.record(record, "")
    reader.end()
    return read


def pack(record: Record, values: Mapping[str, Any]) -> bytes:
    """A record's bytes. Fields that an older program had not may be left out, all from one of `ends` on.

    Raises `InvalidMarket` for a value that its type cannot hold, a field that is missing, and one that the record has not.
    """
    names = [name for name, _ in record.fields]
    unknown = set(values) - set(names)
    if unknown:
        raise InvalidMarket(f"{record.name} has no {', '.join(sorted(unknown))}")
    written: list[bytes] = []
    for at, (name, kind) in enumerate(record.fields):
        if name not in values:
            if name in record.ends and not set(names[at:]) & set(values):
                break
            raise InvalidMarket(f"{record.name} needs {name}")
        written.append(write(kind, values[name], f"{record.name}.{name}"))
    return b"".join(written)


def write(kind: Kind, value: Any, what: str) -> bytes:
    """The bytes of one value. `what` names it in errors: `InvalidMarket` where the type cannot hold it."""
    if isinstance(kind, Record):
        if not isinstance(value, Mapping):
            raise InvalidMarket(f"{what} is a {kind.name}, not {value!r}")
        return pack(kind, value)
    if isinstance(kind, Many):
        return _number(len(value), 4, False, what) + b"".join(pack(kind.of, one) for one in value)
    if kind in NUMBERS:
        size, signed = NUMBERS[kind]
        return _number(value, size, signed, what)
    if kind == "bool":
        if not isinstance(value, bool):
            raise InvalidMarket(f"{what} is True or False, not {value!r}")
        return bytes([value])
    if kind == "key":
        return key(value, what)
    if kind.startswith("?"):
        return b"\0" if value is None else b"\1" + write(kind[1:], value, what)
    if kind.startswith("*"):
        items = list(value)
        return _number(len(items), 4, False, what) + b"".join(write(kind[1:], item, f"{what}[{at}]") for at, item in enumerate(items))
    if kind.startswith("bytes:"):
        if not isinstance(value, bytes) or len(value) != int(kind[6:]):
            raise InvalidMarket(f"{what} is {kind[6:]} bytes, not {value!r}")
        return value
    if kind.startswith("enum:"):
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < int(kind[5:]):
            raise InvalidMarket(f"{what} is one of {kind[5:]}, from 0, not {value!r}")
        return bytes([value])
    if kind == "text":
        raw = str(value).encode()
        return _number(len(raw), 4, False, what) + raw
    raise InvalidMarket(f"{kind!r} of {what} is no type of this table")


def key(value: Any, what: str) -> bytes:
    """The 32 bytes of an address, given as base58 text. Raises `InvalidMarket` for another."""
    try:
        return bytes(Pubkey.from_string(str(value)))
    except ValueError:
        raise InvalidMarket(f"{what} is an address in base58, not {value!r}") from None


def blank(record: Record) -> dict[str, Any]:
    """A record of zeros, as the program writes a part that was not used."""
    return {name: _blank(kind) for name, kind in record.fields}


def _blank(kind: Kind) -> Any:
    if isinstance(kind, Record):
        return blank(kind)
    if isinstance(kind, Many):
        return ()
    if kind in NUMBERS or kind.startswith("enum:"):
        return 0
    if kind.startswith("bytes:"):
        return bytes(int(kind[6:]))
    return {"?": None, "*": (), "bool": False, "key": str(Pubkey.default()), "text": ""}[kind if kind[0] not in "?*" else kind[0]]


def _number(value: Any, size: int, signed: bool, what: str) -> bytes:
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidMarket(f"{what} is a whole number, not {value!r}")
    try:
        return value.to_bytes(size, "little", signed=signed)
    except OverflowError:
        raise InvalidMarket(
            f"{what} is {value}, which {'a signed' if signed else 'an unsigned'} number of {8 * size} bits cannot be"
        ) from None
