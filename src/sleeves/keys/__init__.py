"""Keys of venues: where they come from, how they stay unseen, and which one an operation may use.

    with EncryptedFile.open("main.keys", getpass) as file:
        key = KeySet.load(file, "main", venue="kraken", rights=rights)
    ring = KeyRing([key], clock=time.time_ns, nonces=Nonces.open("main.nonces", time.time_ns))

    async with ring.use(vault, "kraken") as held, held.turn() as nonce:
        await send(sign(held.secret.reveal(), nonce, ...))

`EncryptedFile` and `Keyring` need the `keys` extra.
"""

from __future__ import annotations

from .health import TRANSITIONS, Health, Sign, next_health
from .nonces import MICROSECOND, MILLISECOND, Nonces
from .rights import Right, Rights, check_rights
from .ring import Held, KeyRing, Moved
from .secret import HIDDEN, InvalidKey, KeysError, NoKey, NoSecret, RightsRefused, Sealed, Secret, Unwritable
from .sets import KeySet, check_expiry, expires_in
from .sources import Callback, EncryptedFile, Environment, Keyring, SecretSource

__all__ = [
    "HIDDEN",
    "MICROSECOND",
    "MILLISECOND",
    "TRANSITIONS",
    "Callback",
    "EncryptedFile",
    "Environment",
    "Health",
    "Held",
    "InvalidKey",
    "KeyRing",
    "KeySet",
    "Keyring",
    "KeysError",
    "Moved",
    "NoKey",
    "NoSecret",
    "Nonces",
    "Right",
    "Rights",
    "RightsRefused",
    "Sealed",
    "Secret",
    "SecretSource",
    "Sign",
    "Unwritable",
    "check_expiry",
    "check_rights",
    "expires_in",
    "next_health",
]
