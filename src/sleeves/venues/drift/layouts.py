"""The byte layouts of the accounts, as tables: one line a field, in the program's order; offsets follow from the sizes.

A layout belongs to a program and a declared version, never to a discriminator: all versions of a User carry the same one, and the
wrong table reads them without an error, as garbage. Facts: the program's IDL 2.162 (Drift) and velocity-v1's IDL 2.165 and its
order-book branch (Velocity).

It refuses to know what a field means, and reads no bytes (`codec`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from attrs import field, frozen

__all__ = ["WIDTHS", "Field", "Layout", "struct"]

WIDTHS: Final[Mapping[str, int]] = {
    "u8": 1, "i8": 1, "u16": 2, "i16": 2, "u32": 4, "i32": 4, "u64": 8, "i64": 8, "u128": 16, "i128": 16, "key": 32,
}  # fmt: skip
"""Bytes of each plain type. `key` is an address; a yes-or-no and an enum are a u8."""


@frozen
class Field:
    """One field: `kind` is a name of `WIDTHS`, "bytes" (its `size` bytes as they are) or "layout" (`count` of `of`, a list when `many`)."""

    name: str
    kind: str
    offset: int
    size: int
    of: Layout | None = None
    count: int = 1
    many: bool = False


@frozen
class Layout:
    """A packed table: `size` in bytes with the discriminator, which is None for a part of an account. `version` is the IDL's."""

    name: str
    version: str
    size: int
    discriminator: bytes | None
    fields: tuple[Field, ...]
    by_name: Mapping[str, Field] = field(init=False, repr=False, eq=False)

    @by_name.default
    def _by_name(self) -> Mapping[str, Field]:
        return {one.name: one for one in self.fields}

    def offset(self, path: str) -> int:
        """The offset of a field from the account's first byte: "sub_account_id", "perp_positions.7.base_asset_amount". KeyError if none."""
        raise NotImplementedError


def struct(name: str, version: str, lines: str, parts: Mapping[str, Layout], discriminator: str | None = None) -> Layout:
    """A layout from lines "name type": a plain type, `bytes:N`, the name of a part, or `Part:N` for N of them."""
    raise NotImplementedError
