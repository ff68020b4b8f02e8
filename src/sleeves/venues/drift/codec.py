"""Bytes of an account to a record and back, by a table: the same bytes come out that went in, spare ones included.

A record is a plain dict: integers as they are (a yes-or-no and an enum too), addresses as base58 text, names and padding as bytes,
parts as dicts and lists of dicts, and what lies beyond the layout under `TAIL`. `accounts` makes the strict, typed views of it.

It refuses to know what is plausible, and which layout is the right one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from .layouts import Layout

__all__ = ["TAIL", "Codec", "Record"]

Record = dict[str, Any]
TAIL: Final = "tail"
"""The record's key for bytes beyond the layout's size (market accounts of Velocity have 256 spare ones); absent when there are none."""


class Codec:
    """Reads and writes one layout."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout

    def decode(self, data: bytes) -> Record:
        """The record of `data`. A ValueError when it is shorter than the layout, or begins with another discriminator."""
        raise NotImplementedError

    def encode(self, record: Mapping[str, Any]) -> bytes:
        """The bytes of a record. A ValueError naming the field when a number does not fit, a KeyError when one is missing."""
        raise NotImplementedError

    def blank(self) -> Record:
        """The record of an account of zeros: to start one's own from."""
        return self.decode((self.layout.discriminator or b"").ljust(self.layout.size, b"\0"))
