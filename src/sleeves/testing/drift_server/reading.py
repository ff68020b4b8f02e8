"""Reads an instruction's data, number by number, as Borsh writes it. What does not fit fails as Anchor does."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TypeVar

from .refusing import fail

__all__ = ["Reader"]

T = TypeVar("T")


class Reader:
    """Data from its first byte on."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def _take(self, form: str) -> int:
        size = struct.calcsize(form)
        if self._at + size > len(self._data):
            fail("InstructionDidNotDeserialize")
        (found,) = struct.unpack_from(form, self._data, self._at)
        self._at += size
        return int(found)

    def u8(self) -> int:
        return self._take("<B")

    def u16(self) -> int:
        return self._take("<H")

    def u32(self) -> int:
        return self._take("<I")

    def u64(self) -> int:
        return self._take("<Q")

    def i32(self) -> int:
        return self._take("<i")

    def i64(self) -> int:
        return self._take("<q")

    def enum(self, count: int) -> int:
        """One of so many variants."""
        found = self.u8()
        if found >= count:
            fail("InstructionDidNotDeserialize")
        return found

    def flag(self) -> bool:
        return bool(self.enum(2))

    def option(self, read: Callable[[], T]) -> T | None:
        """A value that may be left out."""
        return read() if self.enum(2) else None

    def take(self, size: int) -> bytes:
        """So many bytes."""
        if self._at + size > len(self._data):
            fail("InstructionDidNotDeserialize")
        found = self._data[self._at : self._at + size]
        self._at += size
        return found

    def rest(self) -> bytes:
        """All that follows."""
        return self.take(len(self._data) - self._at)
