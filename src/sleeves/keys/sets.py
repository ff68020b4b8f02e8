"""A key set: what one key at a venue consists of, under a name that may be shown, and when it expires."""

from __future__ import annotations

from hashlib import sha256
from typing import NoReturn

from attrs import frozen

from ..market import DAY, MINUTE, SECOND
from ..vault import CoreVault
from .rights import Rights
from .secret import InvalidKey, RightsRefused, Secret, Unwritable
from .sources import SecretSource, secret_name

__all__ = ["KeySet", "check_expiry", "expires_in", "span", "vault_name"]


@frozen(eq=False, repr=False, init=False)
class KeySet:
    """What one key at a venue consists of, under a name that may be shown.

    `rights` are the venue's, None where not known. `expires_at` is in ns UTC, None for never. Keys of one venue and `account`
    are locked together, and a vault moves between keys of one account only. `vault` says which Core Vault it is for, by
    `CoreVault.owner`; empty: the first that asks. Compared by identity; not hashed by value, not pickled, not copied deeply.
    """

    name: str
    venue: str
    api_key: Secret
    secret: Secret
    passphrase: Secret | None
    rights: Rights | None
    expires_at: int | None
    account: str
    vault: str

    def __init__(
        self,
        name: str,
        *,
        venue: str,
        api_key: Secret,
        secret: Secret,
        passphrase: Secret | None = None,
        rights: Rights | None = None,
        expires_at: int | None = None,
        account: str = "",
        vault: CoreVault | str = "",
    ) -> None:
        """Raises `InvalidKey`; for a value that is no `Secret` without showing it."""
        given = isinstance(api_key, Secret), isinstance(secret, Secret), passphrase is None or isinstance(passphrase, Secret)
        if not all(given):
            del api_key, secret, passphrase  # a traceback with locals must not show them
            raise InvalidKey("api_key, secret and passphrase are each a Secret: Secret(value), or KeySet.load(source, name, ...)")
        name = secret_name(name)
        for text, what in ((venue, "the venue of a key"), (account, "its account")):
            if not isinstance(text, str) or (not text and what != "its account"):
                raise InvalidKey(f"{what} is its name, not {text!r}")
        if rights is not None and not isinstance(rights, Rights):
            raise InvalidKey(f"the rights of a key are Rights.of('read', 'trade') or None, not {type(rights).__name__}")
        if expires_at is not None and (type(expires_at) is not int or expires_at < 0):
            raise InvalidKey(f"expires_at {expires_at!r} must be whole nanoseconds since 1970, or None")
        for part in (api_key, secret):
            with part.reveal_bytes() as raw:
                if raw[:1].isspace() or raw[-1:].isspace():
                    raise InvalidKey(f"key {name}: a value has white space at an end, as from a file's last line")
        owner = vault_name(vault) if vault != "" else ""
        self.__attrs_init__(name, venue, api_key, secret, passphrase, rights, expires_at, account, owner)

    @classmethod
    def load(
        cls,
        source: SecretSource,
        name: str,
        *,
        venue: str,
        passphrase: bool = False,
        rights: Rights | None = None,
        expires_at: int | None = None,
        account: str = "",
        vault: CoreVault | str = "",
    ) -> KeySet:
        """A set from a source: its secrets `name.key`, `name.secret` and, where the venue's keys have one, `name.passphrase`.

        Raises what the source's `get` raises.
        """
        name = secret_name(name)
        return cls(
            name,
            venue=venue,
            api_key=source.get(f"{name}.key"),
            secret=source.get(f"{name}.secret"),
            passphrase=source.get(f"{name}.passphrase") if passphrase else None,
            rights=rights,
            expires_at=expires_at,
            account=account,
            vault=vault,
        )

    @property
    def fingerprint(self) -> str:
        """What stands for the API key, whatever it is named: 32 hex digits of a SHA-256. Its nonces are kept under it."""
        with self.api_key.reveal_bytes() as raw:
            return sha256(f"sleeves {self.venue}\0".encode() + raw).hexdigest()[:32]

    def hide(self, text: str) -> str:
        """A text without any of its values, for what a venue or a library says of a call. See `Secret.hide`."""
        for part in (self.secret, self.api_key, self.passphrase):
            if part is not None:
                text = part.hide(text)
        return text

    def wipe(self) -> None:
        """Wipe all its secrets."""
        for part in (self.api_key, self.secret, self.passphrase):
            if part is not None:
                part.wipe()

    def __repr__(self) -> str:
        name, venue = getattr(self, "name", "?"), getattr(self, "venue", "?")  # a traceback shows half-made ones too
        return f"KeySet({name!r}, venue={venue!r})"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise Unwritable("a set of keys is not pickled or copied: hand it on")


def vault_name(vault: object) -> str:
    """The name of a core vault, given as itself or by its owner name. Raises `InvalidKey` for what is none."""
    if isinstance(vault, CoreVault):
        return vault.owner
    if not isinstance(vault, str) or not vault.strip():
        raise InvalidKey(f"a key is used for a CoreVault, or its owner's name, not {vault!r}")
    return vault


EXPIRY_DAYS = (1, 7, 14)
"""How many days before its end a key is warned of."""


def expires_in(key: KeySet, now: int) -> int | None:
    """Nanoseconds until a key ends, below zero once it has; None for one that does not."""
    return None if key.expires_at is None else key.expires_at - now


def check_expiry(key: KeySet, now: int) -> str:
    """A warning in words once a key has 14, 7 or 1 days left, else nothing. Raises `RightsRefused` when its time is over."""
    left = expires_in(key, now)
    if left is None:
        return ""
    if left <= 0:
        raise RightsRefused(f"key {key.name} of {key.venue} has expired, {span(-left)} ago: make a new one")
    days = next((days for days in EXPIRY_DAYS if left <= days * DAY), None)
    return "" if days is None else f"expires in {span(left)}, within {days} day{'s' if days > 1 else ''}: make a new one"


def span(ns: int) -> str:
    """How long that is, in words."""
    for unit, word in ((DAY, "d"), (60 * MINUTE, "h"), (MINUTE, "min")):
        if ns >= 2 * unit:
            return f"{ns // unit} {word}"
    return f"{-(-ns // SECOND)} s"
