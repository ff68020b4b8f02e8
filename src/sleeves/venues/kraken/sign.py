"""Kraken's signature of a private call: API-Sign = b64(HMAC-SHA512(b64decode(secret), path + SHA256(nonce + body))).

The body is the exact bytes that are sent. The secret is seen by one expression and kept nowhere.
"""

from __future__ import annotations

import binascii
import hmac
from base64 import b64encode
from hashlib import sha256

from ...keys import InvalidKey, Secret

__all__ = ["signature"]


def signature(secret: Secret, path: str, nonce: int, body: bytes) -> str:
    """What goes out as API-Sign. `path` is from /0/private/ on. Raises `InvalidKey` for a secret that is not base64."""
    message = path.encode() + sha256(str(nonce).encode() + body).digest()
    del body  # a password for two factors may be in it
    with secret.reveal_bytes() as raw:
        try:
            return b64encode(hmac.digest(binascii.a2b_base64(raw, strict_mode=True), message, "sha512")).decode()
        except binascii.Error:
            pass
    raise InvalidKey("the secret of this key is not base64, as all of Kraken's are: was it copied whole?")
