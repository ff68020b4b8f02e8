"""Rates and times as parameters of engines: text that becomes a number, and numbers that become text again.

A rate that decides about money is exact, in parts per million or billion (`part`, `rate_ppb`); one that is an opinion may be a
float (`opinion`). What a rate is of, the engine says.
"""

from __future__ import annotations

import math
from typing import Any

from ..errors import InvalidAmount
from ..market import DAY, HOUR, MINUTE, SECOND
from ..money import PPM, Fraction, decimal_text, parse_units, ppm

__all__ = ["finite", "in_percent", "lasting", "opinion", "part", "percent", "rate_ppb", "said", "within"]


def part(value: Fraction) -> int:
    """A rate as text, "1%" or "0.01", in parts per million. Raises `InvalidAmount` for anything else."""
    return ppm(value)


def said(text: str) -> Any:
    """A default in the words that its converter reads."""
    return text


def within(what: str, units: int, least: int = 0, most: int = PPM) -> None:
    """Raises `InvalidAmount` unless a rate in parts per million lies between two others."""
    if not least <= units <= most:
        raise InvalidAmount(f"{what} {percent(units)} must lie from {percent(least)} to {percent(most)}")


def rate_ppb(value: str) -> int:
    """A funding rate as text, "-0.05%" or "-0.0005", in parts per billion. Raises `InvalidAmount` for anything else."""
    if not isinstance(value, str):
        raise InvalidAmount(f"a funding rate is text such as '-0.05%', not {value!r}")
    short = value.strip().removesuffix("%")
    return parse_units(short, 9 if short == value.strip() else 7, "funding rate")


def percent(units: int, one: int = PPM) -> str:
    """Parts of `one`, a power of ten, in percent: `percent(-500_000, PPB)` is -0.05%."""
    return decimal_text(units, len(str(one)) - 3) + "%"


def lasting(ns: int) -> str:
    """A span of time in words."""
    for unit, name in ((DAY, "days"), (HOUR, "h"), (MINUTE, "min")):
        if ns >= unit and not ns % unit:
            return f"{ns // unit} {name}"
    return f"{ns / SECOND:g} s"


def opinion(value: Fraction | float) -> float:
    """A threshold: text such as "1.25%", or a finite float, for it is an opinion and no money. Raises `InvalidAmount`."""
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidAmount(f"rate {value} is not finite")
        return value
    return ppm(value) / PPM


def in_percent(value: float) -> str:
    """For people: 0.0125 is "1.25%"."""
    return f"{value * 100:.4g}%"


def finite(value: object) -> float:
    """A finite number, or `InvalidAmount`."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise InvalidAmount(f"{value!r} is not a finite number")
    return float(value)
