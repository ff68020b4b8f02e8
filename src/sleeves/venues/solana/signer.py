"""The key of one wallet: it signs what a guard has cleared, and nothing else.

The key lies in a `Secret`, is revealed for one signature at a time, and is in no repr, error or log. It asks nobody.
"""

from __future__ import annotations

import json
from base64 import b64encode
from contextlib import suppress

from attrs import field, frozen
from solders.hash import Hash
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.signature import Signature

from ...errors import VenueRejected
from ...keys import InvalidKey, Secret
from .guard import Cleared

__all__ = ["Signed", "Signer"]


@frozen(order=False)
class Signed:
    """A signed transaction. Its signature is its name on the chain: the same bytes land once, however often they are sent."""

    raw: bytes = field(repr=False)
    signature: Signature = field(repr=str)
    blockhash: Hash = field(repr=str)
    fee: int
    tip: int
    name: str = ""

    @property
    def base64(self) -> str:
        """The bytes as nodes and block engines take them."""
        return b64encode(self.raw).decode()


class Signer:
    """A wallet that signs. The secret is its key as wallets export it: in base 58, or as a JSON array of 64 numbers.

    Raises `InvalidKey`, which never shows it, for anything else.
    """

    __slots__ = ("_address", "_secret")

    def __init__(self, secret: Secret) -> None:
        if not isinstance(secret, Secret):
            raise InvalidKey(f"the key of a wallet is a Secret, not a {type(secret).__name__}")
        self._secret = secret
        self._address = _keypair(secret).pubkey()

    @property
    def address(self) -> Pubkey:
        """The wallet's address, which is no secret."""
        return self._address

    def sign(self, cleared: Cleared, name: str = "") -> Signed:
        """Sign a transaction that a guard of this wallet has cleared; `name` is what it is for. Raises `VenueRejected` for any other."""
        if not isinstance(cleared, Cleared) or cleared.owner != self._address or cleared.decoded.payer != self._address:
            raise VenueRejected(f"{self!r} signs what a guard of this wallet has cleared, and nothing else")
        decoded = cleared.decoded
        signature = _keypair(self._secret).sign_message(decoded.signed)
        raw = b"\1" + bytes(signature) + decoded.raw[65:]
        return Signed(raw, signature, decoded.blockhash, cleared.fee, cleared.tip, name)

    def __repr__(self) -> str:
        return f"<Signer {self._address}>"


def _keypair(secret: Secret) -> Keypair:
    """The key. What a library says of a wrong one may have it in it, so that nothing of its error is told on."""
    key: Keypair | None = None
    with suppress(ValueError, TypeError, KeyError, RecursionError):
        key = Keypair.from_bytes(_bytes(secret.reveal().strip()))
    if key is None:
        raise InvalidKey("the key of a wallet is base 58 text of 64 bytes, or a JSON array of 64 numbers from 0 to 255")
    return key


def _bytes(text: str) -> bytes:
    """Both forms as bytes. By our own means for base 58: solders ends the program's thread over a wrong letter."""
    if text.startswith("["):
        return bytes(json.loads(text))
    number = 0
    for letter in text:
        number = number * 58 + _VALUES[letter]
    ones = len(text) - len(text.lstrip("1"))
    return bytes(ones) + number.to_bytes((number.bit_length() + 7) // 8, "big")


_VALUES = {letter: value for value, letter in enumerate("123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz")}
