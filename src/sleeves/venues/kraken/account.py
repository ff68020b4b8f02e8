"""One account at Kraken, and which of our keys speaks for it: a vault's own for its orders, any that may for what concerns all.

    for an order       the vault that trades what is quoted in an asset: as was said, else the one whose key bears its code
    for the account    the first vault whose key may; a key that proves to be none gives way to the next

The keys of a ring may be of several accounts: one venue is one of them.

It knows no call of Kraken's, only who may make it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from ...errors import VenueRejected, VenueUnavailable
from ...keys import InvalidKey, KeyRing, NoKey
from ...keys.sets import vault_name
from .faults import Kind, KrakenUnavailable

__all__ = ["Account"]

T = TypeVar("T")

MOST_KEYS = 3
"""With how many keys of one vault a call is tried, when each proves to be none."""


class Account:
    """Who speaks for an account. `vaults` are core vaults, or their owners' names, by the code of the asset that they are kept in.
    `name` is the account, as its keys call it; without it that of the ring's keys there.

    Raises `InvalidKey` where they are of several accounts and none is named, or none of them is of that account.
    """

    def __init__(self, ring: KeyRing, venue: str, vaults: Mapping[str, Any] | None = None, name: str | None = None) -> None:
        self._ring = ring
        self._venue = venue
        self.name = one_account(ring, venue, name)
        """None where the ring has no keys there yet."""
        self._said = {code: vault_name(vault) for code, vault in (vaults or {}).items()}

    def vault_of(self, code: str) -> str:
        """The vault that trades what is quoted in this asset."""
        if code in self._said:
            return self._said[code]
        named = self.vaults
        return next((vault for vault in named if vault.endswith(f":{code}")), named[0])

    @property
    def vaults(self) -> list[str]:
        """All that are known, those first that were said; one of no name in particular where the keys belong to nobody yet."""
        owners = [
            row["vault"]
            for row in self._ring.describe()
            if row["venue"] == self._venue and row["vault"] and self.name in (None, row["account"])
        ]
        return list(dict.fromkeys([*self._said.values(), *owners])) or [f"core:{self._venue}"]

    async def ask(self, call: Callable[[str], Awaitable[T]]) -> T:
        """Make a call that concerns the account. Raises what it raises, and `NoKey` where no key is left."""
        failed: VenueUnavailable | None = None
        for vault in self.vaults:
            for _ in range(MOST_KEYS):
                try:
                    return await call(vault)
                except NoKey as error:
                    failed = failed or error
                    break
                except KrakenUnavailable as error:
                    if not error.kinds & {Kind.AUTH, Kind.PERMISSION}:
                        raise
                    failed = error
        assert failed is not None
        raise failed

    async def read(self, call: Callable[[str], Awaitable[T]]) -> T:
        """Ask a question about the account. Raises `VenueUnavailable`, also where Kraken refuses to answer."""
        try:
            return await self.ask(call)
        except VenueRejected as error:
            raise VenueUnavailable(str(error)) from error


def one_account(ring: KeyRing, venue: str, name: str | None) -> str | None:
    """The account of a ring's keys at a venue: orders of one that is not the venue's would go out, and nothing be heard of them."""
    found = sorted({row["account"] for row in ring.describe() if row["venue"] == venue})
    if name is not None and not isinstance(name, str):
        raise InvalidKey(f"an account is named as its keys name it, not {name!r}")
    if name is not None and found and name not in found:
        raise InvalidKey(f"no key of {venue} is of account {name!r}: they are of {', '.join(map(repr, found))}")
    if name is None and len(found) > 1:
        raise InvalidKey(
            f"the keys of {venue} are of {len(found)} accounts, {', '.join(map(repr, found))}: a venue is one of them, "
            "so name it (account=...), and make another venue for the other"
        )
    return found[0] if name is None and found else name
