"""Oracle accounts: a price, how sure it is, and how old.

Reads Pyth Lazer accounts (they belong to the exchange's own program), Pyth's push and pull accounts, and the quote asset's constant,
and scales them as the program does. A source whose layout is not known here raises: a price is never guessed.

It refuses to know which market uses which oracle, and whether a price is fresh enough for a purpose: that is its reader's to judge
by `slot` and `at`.
"""

from __future__ import annotations

import struct
from typing import Final, NoReturn

from attrs import frozen

from .accounts import WrongAccount
from .deployment import Deployment
from .words import OracleSource

__all__ = ["PRICE", "Oracle", "read_oracle"]

PRICE: Final = 10**6
"""Prices and confidences are counted in millionths of the quote."""

STABLE_BAND: Final = 500
"""A stable coin within five basis points of one, and within its own confidence, is one (the program's rule)."""


@frozen
class Oracle:
    """A price in 1e6 as the program scales it, its confidence in 1e6, the slot it was posted in, and its time in nanoseconds or None.

    The quote asset's constant has no account: its price is one, and its `slot` is that of the read.
    """

    price: int
    confidence: int
    slot: int
    at: int | None
    source: OracleSource


def read_oracle(deployment: Deployment, source: OracleSource, owner: str, data: bytes, slot: int) -> Oracle:
    """The price in an oracle's bytes, read at `slot`. A `WrongAccount` for a source that is not known here, a wrong owner, bytes that
    are no such oracle, a price that is not above 0, too few publishers, or a price posted after `slot`.
    """
    if source not in deployment.oracle_sources.values():
        _refuse(deployment, source, f"{deployment.name} takes no such oracle")
    if source is OracleSource.QUOTE_ASSET:
        return Oracle(PRICE, 1, slot, None, source)
    if source in _LAZER:
        multiple, stable = _LAZER[source]
        _owned(deployment, source, owner, deployment.program_id)
        price, confidence, exponent, posted, at = _lazer(deployment, source, data)
    elif source in _PUSH:
        multiple, stable = _PUSH[source]
        _owned(deployment, source, owner, deployment.pyth)
        price, confidence, exponent, posted, at = _push(deployment, source, data)
    elif source in _PULL:
        multiple, stable = _PULL[source]
        _owned(deployment, source, owner, deployment.receiver)
        price, confidence, exponent, posted, at = _pull(deployment, source, data)
    else:
        _refuse(deployment, source, "its layout is not known")
    if price <= 0:
        _refuse(deployment, source, f"its price is {price}, and a price is above 0")
    if posted > slot:
        _refuse(deployment, source, f"it was posted in slot {posted}, and was read in slot {slot}")
    scaled, sure = _scaled(deployment, source, price, exponent, multiple), _scaled(deployment, source, confidence, exponent, multiple)
    if stable and abs(scaled - PRICE) <= min(STABLE_BAND, sure):
        scaled = PRICE
    if scaled <= 0:
        _refuse(deployment, source, f"its price {price} at the exponent {exponent} is less than a millionth")
    return Oracle(scaled, sure, posted, at, source)


# The coins that one price is for (a thousand, a million of a small coin), and whether it is snapped to one.
_LAZER: Final = {
    OracleSource.PYTH_LAZER: (1, False),
    OracleSource.PYTH_LAZER_1K: (1_000, False),
    OracleSource.PYTH_LAZER_1M: (1_000_000, False),
    OracleSource.PYTH_LAZER_STABLE_COIN: (1, True),
}
_PUSH: Final = {
    OracleSource.PYTH: (1, False),
    OracleSource.PYTH_1K: (1_000, False),
    OracleSource.PYTH_1M: (1_000_000, False),
    OracleSource.PYTH_STABLE_COIN: (1, True),
}
_PULL: Final = {
    OracleSource.PYTH_PULL: (1, False),
    OracleSource.PYTH_1K_PULL: (1_000, False),
    OracleSource.PYTH_1M_PULL: (1_000_000, False),
    OracleSource.PYTH_STABLE_COIN_PULL: (1, True),
}
_Raw = tuple[int, int, int, int, int]  # price, confidence, exponent, slot, nanoseconds


def _refuse(deployment: Deployment, source: OracleSource, why: str) -> NoReturn:
    raise WrongAccount(f"this is no {source.value} oracle of {deployment.name}: {why}")


def _owned(deployment: Deployment, source: OracleSource, owner: str, program: str) -> None:
    if owner != program:
        _refuse(deployment, source, f"its owner is {owner}, and such an oracle belongs to {program}")


def _lazer(deployment: Deployment, source: OracleSource, data: bytes) -> _Raw:
    try:
        told = deployment.codec("PythLazerOracle").decode(data)
    except ValueError as wrong:
        _refuse(deployment, source, str(wrong))
    # The publisher's clock is in microseconds.
    return told["price"], told["conf"], told["exponent"], told["posted_slot"], told["publish_time"] * 1_000


_PUSH_HEAD: Final = struct.Struct("<IIIIIiIIQQ")
_PUSH_PRICE: Final = struct.Struct("<qQ")
_PUSH_SIZE: Final = 240


def _push(deployment: Deployment, source: OracleSource, data: bytes) -> _Raw:
    """Pyth's own price account, version 2: a header, the exponent and the counts of publishers; the time at 96, the price at 208."""
    if len(data) < _PUSH_SIZE:
        _refuse(deployment, source, f"a price account has {_PUSH_SIZE} bytes at least, and here are {len(data)}")
    magic, version, kind, _, _, exponent, publishers, quoting, _, valid = _PUSH_HEAD.unpack_from(data)
    if (magic, version, kind) != (0xA1B2C3D4, 2, 3):
        _refuse(deployment, source, f"its header says magic {magic:#x}, version {version}, kind {kind}; a price is 0xa1b2c3d4, 2, 3")
    if quoting < min(publishers, 3):
        _refuse(deployment, source, f"{quoting} of {publishers} publishers quote, and the program asks for {min(publishers, 3)}")
    price, confidence = _PUSH_PRICE.unpack_from(data, 208)
    (seconds,) = struct.unpack_from("<q", data, 96)
    return price, confidence, exponent, valid, seconds * 10**9


_PULL_HEAD: Final = bytes.fromhex("22f123639d7ef4cd")
_PULL_BODY: Final = struct.Struct("<32sqQiqqqQQ")


def _pull(deployment: Deployment, source: OracleSource, data: bytes) -> _Raw:
    """A price update that a receiver program has verified: how far (one byte, or two), then the message and the slot."""
    if data[:8] != _PULL_HEAD:
        _refuse(deployment, source, f"a price update begins with {_PULL_HEAD.hex()}, and here it is {bytes(data[:8]).hex()}")
    level = data[40] if len(data) > 40 else None
    if level not in (0, 1):
        _refuse(deployment, source, f"its level of verification is {level}, and it is 0 (partial) or 1 (full)")
    start = 42 if level == 0 else 41
    if len(data) < start + _PULL_BODY.size:
        _refuse(deployment, source, f"a price update has {start + _PULL_BODY.size} bytes at least, and here are {len(data)}")
    _, price, confidence, exponent, seconds, _, _, _, posted = _PULL_BODY.unpack_from(data, start)
    return price, confidence, exponent, posted, seconds * 10**9


def _scaled(deployment: Deployment, source: OracleSource, number: int, exponent: int, multiple: int) -> int:
    """A number of 10**exponent each, for `multiple` coins, in millionths; cut off as the program cuts."""
    if not -18 <= exponent <= 0:
        _refuse(deployment, source, f"its exponent is {exponent}, and it is from -18 to 0")
    precision: int = 10**-exponent
    if precision <= multiple:
        _refuse(deployment, source, f"its exponent {exponent} is too coarse for {multiple} coins a price")
    precision //= multiple
    return number // (precision // PRICE) if precision > PRICE else number * (PRICE // precision)
