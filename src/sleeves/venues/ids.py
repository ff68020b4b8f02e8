"""Our order ids in 128 bits, and back: what a venue keeps beside an order, so that it is found again after any crash.

An order of ours is `f"{sleeve}-{n}"`. A venue takes a UUID, or 32 hex digits, so the id is packed into one: the name of a
sleeve of up to 15 characters is in it whole, with a number below 2^24. Of a longer name, or beside a larger number, only a
digest of the name is in it: such an id is read back where the name is known, so those names are handed in. Sixteen bits
check that an id is one of ours: of the ids that other programs make at random one in 65,536 would be taken for one.

This module knows nothing of venues and keeps no file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from hashlib import sha256
from uuid import UUID

from ..errors import VenueRejected

__all__ = ["ClientIds"]

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789_-"
_NUMBER = re.compile(r"[1-9][0-9]*")
_BASE = len(_LETTERS) + 1
_LONGEST = 15
_CHECK_BITS, _FORM_BITS, _BODY_BITS = 16, 1, 105
_WHOLE_N, _DIGEST_N = 24, 40
_LOW = (1 << 62) - 1


class ClientIds:
    """Turns order ids into a venue's form and back. `sleeves` are names to know: needed for those of more than 15 characters."""

    def __init__(self, sleeves: Iterable[str] = ()) -> None:
        self._known: dict[int, str] = {}
        for name in sleeves:
            self.know(name)

    def know(self, sleeve: str) -> None:
        """Have ids of this sleeve read back, however long its name. Raises `VenueRejected` for what is no name of a sleeve."""
        if not isinstance(sleeve, str) or _NAME.fullmatch(sleeve) is None:
            raise VenueRejected(f"{sleeve!r} is no name of a sleeve: 1 to 32 of a-z 0-9 _ - that begin with a letter or digit")
        self._known[_digest(sleeve)] = sleeve

    def uuid(self, order_id: str) -> str:
        """As a UUID of 36 characters. Raises `VenueRejected` for an id that could not be read back: nothing is sent then."""
        return str(UUID(int=self._pack(order_id)))

    def hex(self, order_id: str) -> str:
        """As 32 hex digits. Raises as `uuid` does."""
        return UUID(int=self._pack(order_id)).hex

    def order_id(self, text: object) -> str | None:
        """The order id that a venue's text stands for, a UUID or 32 hex digits with or without 0x; None for none of ours."""
        if not isinstance(text, str):
            return None
        digits = text.removeprefix("0x").replace("-", "").lower()
        if len(digits) != 32 or set(digits) - set("0123456789abcdef"):
            return None
        whole = int(digits, 16)
        if (whole >> 76) & 15 != 4 or (whole >> 62) & 3 != 2:
            return None
        free = (whole >> 80) << 74 | ((whole >> 64) & 0xFFF) << 62 | whole & _LOW
        payload, check = free >> _CHECK_BITS, free & ((1 << _CHECK_BITS) - 1)
        return self._read(payload) if check == _check(payload) else None

    def _pack(self, order_id: str) -> int:
        sleeve, _, number = order_id.rpartition("-") if isinstance(order_id, str) else ("", "", "")
        if _NAME.fullmatch(sleeve) is None or _NUMBER.fullmatch(number) is None or int(number) >= 1 << _DIGEST_N:
            raise VenueRejected(f"order id {order_id!r} is not a sleeve's name and a number")
        n = int(number)
        if len(sleeve) <= _LONGEST and n < 1 << _WHOLE_N:
            body = 0
            for letter in sleeve:
                body = body * _BASE + _LETTERS.index(letter) + 1
            payload = body << _WHOLE_N | n
        else:
            digest = _digest(sleeve)
            if self._known.get(digest) != sleeve:
                why = f"a name of more than {_LONGEST} characters, or a number from {1 << _WHOLE_N} on, is read back only where it is known"
                raise VenueRejected(f"order {order_id}: {why}: hand it in where the driver is made, sleeves=[{sleeve!r}]")
            payload = 1 << _BODY_BITS | digest << _DIGEST_N | n
        free = payload << _CHECK_BITS | _check(payload)
        return (free >> 74) << 80 | 4 << 76 | ((free >> 62) & 0xFFF) << 64 | 2 << 62 | free & _LOW

    def _read(self, payload: int) -> str | None:
        body = payload & ((1 << _BODY_BITS) - 1)
        if payload >> _BODY_BITS:
            sleeve, n = self._known.get(body >> _DIGEST_N, ""), body & ((1 << _DIGEST_N) - 1)
            return f"{sleeve}-{n}" if sleeve and n else None
        text, n = body >> _WHOLE_N, body & ((1 << _WHOLE_N) - 1)
        letters = []
        while text:
            text, letter = divmod(text, _BASE)
            if not letter:
                return None
            letters.append(_LETTERS[letter - 1])
        sleeve = "".join(reversed(letters))
        return f"{sleeve}-{n}" if n and _NAME.fullmatch(sleeve) else None


def _digest(sleeve: str) -> int:
    """Sixty-five bits that stand for a long name."""
    return int.from_bytes(sha256(f"sleeves {sleeve}".encode()).digest()) >> (256 - (_BODY_BITS - _DIGEST_N))


def _check(payload: int) -> int:
    return int.from_bytes(sha256(b"sleeves order" + payload.to_bytes(14)).digest()[:2])
