"""What a key may do at its venue, and whether that is more than it should.

Nothing here knows a key's values, or a venue's wire.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from enum import StrEnum

from attrs import field, frozen

from .secret import InvalidKey, RightsRefused

__all__ = ["Right", "Rights", "check_rights"]


class Right(StrEnum):
    """What a venue lets a key do."""

    READ = "read"
    """See balances, orders and history."""
    TRADE = "trade"
    """Send and cancel orders."""
    DEPOSIT = "deposit"
    """See, or make, addresses to deposit to."""
    WITHDRAW = "withdraw"
    """Send money out of the venue."""
    TRANSFER = "transfer"
    """Send money to another account of the venue."""


TAKES_OUT = frozenset({Right.WITHDRAW, Right.TRANSFER})
"""What could empty the account."""


def _addresses(given: Iterable[str] | None) -> tuple[str, ...] | None:
    if isinstance(given, str):
        raise InvalidKey(f"allowed addresses are a list, not the text {given!r}")
    return None if given is None else tuple(given)


@frozen
class Rights:
    """What a venue says that a key may do, and from where.

    `unknown` are words of the venue's that nobody here has a meaning for. `addresses` is its list of allowed IP addresses or
    networks: () for none, None where the venue does not tell.
    """

    granted: frozenset[Right]
    unknown: frozenset[str] = frozenset()
    addresses: tuple[str, ...] | None = field(default=(), converter=_addresses)

    @classmethod
    def of(cls, *words: str, addresses: Iterable[str] | None = (), means: Mapping[str, Right | None] | None = None) -> Rights:
        """Rights from a venue's words. `means` says what each stands for, None for what matters to nobody; without it the words
        are those of `Right`. Any other word is kept as unknown, and `check_rights` refuses it.
        """
        table: Mapping[str, Right | None] = {right.value: right for right in Right} if means is None else means
        for word in words:
            if not isinstance(word, str):
                raise InvalidKey(f"a right is a word, not {word!r}")
        granted = {right for word in words if word in table and (right := table[word]) is not None}
        return cls(frozenset(granted), frozenset(str(word) for word in words if word not in table), addresses)

    def __str__(self) -> str:
        return ", ".join([*sorted(self.granted), *(f"{word}?" for word in sorted(self.unknown))]) or "none"


def check_rights(rights: Rights | None, allow_withdraw: bool = False) -> tuple[str, ...]:
    """That a key may do no more than it must; returns warnings in words.

    Raises `RightsRefused` where it may withdraw or transfer out, unless allowed; where some right has no meaning here; and for
    None, when what it may do is not known. A key that is bound to no IP address is a warning, and so is one bound to all.
    """
    if type(allow_withdraw) is not bool:
        raise InvalidKey(f"allow_withdraw is True or False, not {allow_withdraw!r}")
    if rights is None:
        raise RightsRefused("what this key may do is not known: ask the venue, or state it as Rights.of('read', 'trade')")
    if not isinstance(rights, Rights):
        raise InvalidKey(f"rights are Rights.of('read', 'trade'), not {type(rights).__name__}")
    if rights.unknown:
        raise RightsRefused(f"this key has rights that are not known here: {', '.join(sorted(rights.unknown))}")
    if (out := rights.granted & TAKES_OUT) and not allow_withdraw:
        raise RightsRefused(f"this key may {' and '.join(sorted(out))}: make one at the venue that may not")
    warnings = []
    if rights.addresses is None:
        warnings.append("the venue does not tell whether it is bound to IP addresses")
    elif not rights.addresses:
        warnings.append("it is bound to no IP address: whoever has it can use it from anywhere")
    elif any(map(_everywhere, rights.addresses)):
        warnings.append("its list of IP addresses allows all of them")
    return tuple(warnings)


def _everywhere(address: str) -> bool:
    try:
        return ipaddress.ip_network(address, strict=False).prefixlen == 0 or ipaddress.ip_network(address, strict=False)[0].is_unspecified
    except ValueError:
        return "*" in address
