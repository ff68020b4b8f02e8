"""How Kraken writes: JSON whose numbers keep their digits, decimals with fixed places, times, ids.

What any of it means is not known here.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from ...money import Rounding, divide

__all__ = ["Ids", "Number", "Refused", "fixed", "instant", "number", "seconds", "shortened", "stamp", "text_of"]

SECOND = 1_000_000_000


class Refused(Exception):
    """What Kraken answers instead of a result: `EOrder:Insufficient funds`."""

    def __init__(self, error: str) -> None:
        super().__init__(error)
        self.error = error


class Number(str):
    """Digits that stand in JSON as a number, and just as they are written here."""

    __slots__ = ()


def text_of(value: Any) -> str:
    """JSON text. A `Number` goes out digit for digit; there are no floats."""
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, (str, bool, int)) or value is None:
        return json.dumps(value)
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{json.dumps(str(key))}:{text_of(one)}" for key, one in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(text_of, value)) + "]"
    raise TypeError(f"{value!r} has no JSON text here")


def fixed(units: int, scale: int, places: int) -> str:
    """Units of 10**-scale with so many decimal places; rounded half-even where there are fewer."""
    if places < scale:
        units = divide(units, 10 ** (scale - places), Rounding.HALF_EVEN)
    else:
        units *= 10 ** (places - scale)
    digits = str(abs(units)).rjust(places + 1, "0")
    sign = "-" if units < 0 else ""
    return f"{sign}{digits[:-places]}.{digits[-places:]}" if places else sign + digits


def number(units: int, scale: int, places: int | None = None) -> Number:
    """The same as a JSON number."""
    return Number(fixed(units, scale, scale if places is None else places))


def shortened(units: int, scale: int) -> Number:
    """The same as short as a JSON number with a point can be, as WebSockets tell prices."""
    text = fixed(units, scale, max(scale, 1)).rstrip("0")
    return Number(text + "0" if text.endswith(".") else text)


def seconds(ns: int, places: int = 4) -> Number:
    """Seconds since 1970 with so many places, cut off."""
    return Number(fixed(divide(ns, SECOND // 10**places, Rounding.FLOOR), places, places))


def stamp(ns: int, places: int = 6) -> str:
    """An instant as RFC 3339 text in UTC, cut off."""
    text = datetime.fromtimestamp(ns // SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{ns % SECOND // 10 ** (9 - places):0{places}}Z" if places else text + "Z"


def instant(text: str) -> int:
    """Nanoseconds of RFC 3339 text. Raises `ValueError`."""
    when = datetime.fromisoformat(text)
    if when.tzinfo is None:
        raise ValueError(f"{text} has no zone")
    since = when - datetime(1970, 1, 1, tzinfo=UTC)
    return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1_000


class Ids:
    """Ids as Kraken writes them, OAAAAA-BBBBB-CCCCCC, each once; the n-th of a kind is the same whenever it is asked for."""

    def __init__(self) -> None:
        self._made: dict[str, int] = {}

    def make(self, letter: str) -> tuple[str, int]:
        """The next id of a kind, and which one it is."""
        n = self._made[letter] = self._made.get(letter, 0) + 1
        text = base64.b32encode(sha256(f"{letter} {n}".encode()).digest()).decode()
        return f"{letter}{text[:5]}-{text[5:10]}-{text[10:16]}", n
