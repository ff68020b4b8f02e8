"""What a cell says: an exact number, an exact instant. Text in, never through a float.

A number is plain decimal text, with an exponent where a venue writes one (1e-8). A decimal comma and thousands
separators are taken only when they were announced: 1,234 is twelve hundred to one reader and one and a bit to another.

This module knows nothing of coins or files; its errors say what is wrong with the text alone.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal

from ..errors import InvalidAmount
from ..money import parse_units
from .table import shown

__all__ = ["Clock", "Figures", "exact", "instant"]

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_MOMENT = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})(?:[ T]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,9}))?)?)?"
    r"(?: ?(Z|UTC|[+-][0-9]{2}:?[0-9]{2}))?"
)
_LONGEST = 100
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS = {"s": 9, "ms": 6, "us": 3, "ns": 0}


def exact(value: object) -> Decimal:
    """A finite number, exactly: of text, a whole number or a Decimal; of a float, its shortest text. Raises `InvalidAmount`."""
    if isinstance(value, float):
        value = float.__repr__(value)
    if isinstance(value, Decimal):
        if value.is_finite():
            return value
    elif isinstance(value, int) and not isinstance(value, bool) and value.bit_length() < 400:
        return Decimal(value)
    elif isinstance(value, str):
        text = value.strip(" ")
        if len(text) <= _LONGEST and _NUMBER.fullmatch(text):
            return Decimal(text)
    raise InvalidAmount(f"{shown(value)} is not a plain finite number")


class Figures:
    """How a file writes numbers: its decimal sign, and what stands between thousands, if anything."""

    def __init__(self, decimal: str = ".", thousands: str = "") -> None:
        if decimal not in (".", ",") or len(thousands) > 1 or thousands in ("+", "-", decimal) or thousands.isalnum():
            raise InvalidAmount(f"decimal sign {decimal!r} with {thousands!r} between thousands: need . or , and another sign or none")
        self.decimal = decimal
        self.thousands = thousands
        self._grouped = re.compile(rf"[+-]?[0-9]{{1,3}}(?:{re.escape(thousands or ' ')}[0-9]{{3}})+(?:{re.escape(decimal)}[0-9]*)?")

    def read(self, text: str) -> Decimal:
        """The number that the text stands for. Raises `InvalidAmount`."""
        plain = text
        if self.thousands and len(text) <= _LONGEST and self._grouped.fullmatch(text.strip(" ")):
            plain = plain.replace(self.thousands, "")
        if self.decimal != ".":
            plain = "," if "." in plain else plain.replace(self.decimal, ".")
        try:
            return exact(plain)
        except InvalidAmount:
            sign = " with a decimal comma" if self.decimal == "," else ""
            raise InvalidAmount(f"{shown(text)} is not a plain finite number{sign}") from None


def instant(text: str, zone: tzinfo = UTC) -> int:
    """Nanoseconds UTC of "2024-03-01", "2024-03-01 12:30:15.1234" or the same with Z or an offset. Raises `InvalidAmount`."""
    return _instant(text, zone)[0]


def _instant(text: str, zone: tzinfo) -> tuple[int, bool]:
    """The instant, and whether the text names its own zone."""
    match = _MOMENT.fullmatch(text.strip(" ")) if len(text) <= _LONGEST else None
    if match is None:
        raise InvalidAmount(f"time {shown(text)} is not like 2024-03-01 12:30:15.1234, with or without an offset")
    *parts, fraction, named = match.groups()
    offset = "" if named in (None, "Z", "UTC") else named.replace(":", "")
    try:
        moment = datetime(*(int(part or 0) for part in parts))  # type: ignore[arg-type]  # noqa: DTZ001 the zone follows
        whole = _aware(moment, zone if named is None else datetime.strptime(offset or "+0000", "%z").tzinfo or UTC, text)
    except (ValueError, OverflowError) as error:
        raise InvalidAmount(f"time {shown(text)} is none of the calendar: {error}") from None
    return whole + int((fraction or "").ljust(9, "0")), named is not None


def _aware(moment: datetime, zone: tzinfo, text: str) -> int:
    """Nanoseconds UTC of a wall-clock time. One that a clock change leaves out, or shows twice, is refused."""
    first, second = (moment.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    if first.utcoffset() != second.utcoffset():
        raise InvalidAmount(f"time {shown(text)} falls into a clock change of {zone}: only a time in UTC says which instant is meant")
    return int((first - _EPOCH) // timedelta(microseconds=1)) * 1000


class Clock:
    """How a file writes instants. `form` is "iso", a unit since 1970 ("s", "ms", "us", "ns"), or a strptime format.

    A time without a zone is in `zone`. A column in which some times name their zone and others do not is refused, for
    then nobody knows what the others mean.
    """

    def __init__(self, form: str = "iso", zone: tzinfo = UTC) -> None:
        if form != "iso" and form not in _UNITS and "%" not in form:
            raise InvalidAmount(f"time format {form!r} must be iso, s, ms, us, ns or a strptime format with %")
        self.form = form
        self.zone = zone
        self._named: bool | None = None

    def read(self, text: str) -> int:
        """Nanoseconds UTC. Raises `InvalidAmount`."""
        if self.form in _UNITS:
            return parse_units(exact(text), _UNITS[self.form], "time")
        if self.form == "iso":
            at, named = _instant(text, self.zone)
        else:
            at, named = self._formatted(text)
        if self._named is None:
            self._named = named
        elif self._named is not named:
            rule = "names its zone, and times before it do not" if named else "names no zone, and times before it do"
            raise InvalidAmount(f"time {shown(text)} {rule}")
        return at

    def _formatted(self, text: str) -> tuple[int, bool]:
        try:
            moment = datetime.strptime(text.strip(), self.form)  # noqa: DTZ007 the zone follows
        except ValueError:
            raise InvalidAmount(f"time {shown(text)} is not written as {self.form!r}") from None
        if moment.tzinfo is None:
            return _aware(moment, self.zone, text), False
        return int((moment - _EPOCH) // timedelta(microseconds=1)) * 1000, True
