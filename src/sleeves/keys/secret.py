"""A secret that does not show itself: not when it is printed, logged, copied, pickled, dumped, or part of a traceback.

It knows neither venues nor files. There are two ways to the value, so that a search for `reveal` finds every place that
sees it:

    secret.reveal()                      the text, for one expression: sign(secret.reveal(), message)
    with secret.reveal_bytes() as raw:   the bytes in a buffer that is wiped when the block ends, also by an error

What CPython cannot promise. A `str` or `bytes` cannot be wiped: what a secret is made from, and what `reveal` gives, stays in
memory until the interpreter uses that memory for something else, and it may be in a core dump, in swap, or be read by a
debugger. Inside a `Secret` the value lies masked under random bytes, which keeps it out of dumps of attributes and of memory
that is searched for it; it is no encryption, since the mask lies beside it. A name in your own frame that holds the value
is shown by a traceback with locals. So reveal late, in an expression, and keep no name for it.

The errors of keys, as one tree:

    SleevesError
      KeysError
        InvalidKey            (ValueError)   a secret, a name, a set of keys or a right that cannot be; never shows the value
        Unwritable            (TypeError)    somebody asked for a secret to be pickled or copied
        NoSecret                             a source has nothing under this name, or could not be asked
        Sealed                               a file of keys stays shut: wrong passphrase, changed, or open to others
        RightsRefused                        a key may do more than it should, or what it may do is not known
        NoKey                 (VenueUnavailable)  no key is left for this; nothing was sent
"""

from __future__ import annotations

import os
import urllib.parse
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from hmac import compare_digest
from typing import NoReturn, final

from ..errors import SleevesError, VenueUnavailable

__all__ = ["HIDDEN", "InvalidKey", "KeysError", "NoKey", "NoSecret", "RightsRefused", "Sealed", "Secret", "Unwritable"]

HIDDEN = "****"
"""What stands for a value wherever text is made."""
MOST_BYTES = 65_536


class KeysError(SleevesError):
    """Something about keys went wrong. No message, cause or context of it has a value in it."""


class InvalidKey(KeysError, ValueError):
    """A secret, a name, a set of keys or a right that cannot be."""


class Unwritable(KeysError, TypeError):
    """A secret was to be pickled or copied."""


class NoSecret(KeysError):
    """A source has nothing under this name, or could not be asked."""


class Sealed(KeysError):
    """A file of keys cannot be opened: the passphrase is wrong, it was changed, or others may read it."""


class RightsRefused(KeysError):
    """A key may do more than it should, or what it may do is not known."""


class NoKey(KeysError, VenueUnavailable):
    """No key is left for an operation; nothing was sent. `until` is when the first comes back, as UTC ns; None: not by itself."""

    def __init__(self, message: str, until: int | None = None) -> None:
        super().__init__(message)
        self.until = until


@final
class Secret:
    """Text or bytes that are shown as `Secret(****)`, whatever is done with it. Equal where the values are, in constant time.

    Not hashable, not iterable, without a length. Raises `InvalidKey` for what is no text or bytes, for nothing, and for more
    than 65,536 bytes.
    """

    __slots__ = ("__weakref__", "_mask", "_masked")
    _mask: bytearray
    _masked: bytearray

    def __init__(self, value: str | bytes | bytearray) -> None:
        kind, wrong = type(value).__name__, ""
        raw = bytearray()
        if isinstance(value, str):
            try:
                raw = bytearray(value, "utf-8")
            except UnicodeEncodeError:  # its message has the text in it
                wrong = "its text is not valid Unicode"
        elif isinstance(value, (bytes, bytearray)):
            raw = bytearray(value)
        else:
            wrong = f"it is made from text or bytes, not from {kind}"
        del value  # a traceback with locals must not show it
        if not wrong and not 0 < len(raw) <= MOST_BYTES:
            wrong = f"it is empty ({kind})" if not raw else f"it is longer than {MOST_BYTES} bytes"
        if wrong:
            _zero(raw)
            raise InvalidKey(f"a secret cannot be: {wrong}")
        mask = bytearray(os.urandom(len(raw)))
        object.__setattr__(self, "_mask", mask)
        object.__setattr__(self, "_masked", _xor(raw, mask))
        _zero(raw)

    def reveal(self) -> str:
        """The value as text. Raises `InvalidKey` where it was wiped, or is bytes that are not UTF-8."""
        with self.reveal_bytes() as raw:
            try:
                return raw.decode("utf-8")
            except UnicodeDecodeError:  # its message has the bytes in it
                pass
        raise InvalidKey("this secret is bytes that are not UTF-8: use reveal_bytes")

    @contextmanager
    def reveal_bytes(self) -> Iterator[bytearray]:
        """The value as bytes, text in UTF-8, in a buffer that is zeroed when the block ends. Raises `InvalidKey` where it was wiped."""
        if not self._masked:
            raise InvalidKey("this secret was wiped")
        raw = _xor(self._masked, self._mask)
        try:
            yield raw
        finally:
            _zero(raw)

    def wipe(self) -> None:
        """Zero what this object holds; it cannot be revealed after. Copies that the interpreter made are beyond reach."""
        for part in (self._masked, self._mask):
            _zero(part)
            part.clear()

    @property
    def wiped(self) -> bool:
        """Whether it was wiped, so that nothing is left to reveal."""
        return not self._masked

    def hide(self, text: str) -> str:
        """A text with this value replaced by `****`: as it is, in hex, in base64 and urlencoded. For what others say of a call.

        A value of fewer than four bytes is left, since it would be found anywhere.
        """
        if not isinstance(text, str):
            kind = type(text).__name__
            del text
            raise InvalidKey(f"a secret is hidden in text, not in {kind}")
        if self.wiped:
            return text
        with self.reveal_bytes() as raw:
            if len(raw) < 4:
                return text
            for form in _forms(raw):
                text = text.replace(form, HIDDEN)
        return text

    def __repr__(self) -> str:
        return f"Secret({HIDDEN})"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        if self.wiped or other.wiped:
            return self is other
        with self.reveal_bytes() as mine, other.reveal_bytes() as theirs:
            return compare_digest(mine, theirs)

    __hash__ = None  # type: ignore[assignment]

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a secret is not changed: make another one")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("a secret is not changed: wipe it")

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise Unwritable("a secret is not pickled: hand on the name of its source instead")

    __reduce__ = __reduce_ex__  # type: ignore[assignment]

    def __getstate__(self) -> NoReturn:
        raise Unwritable("a secret gives no state away: hand on the name of its source instead")

    def __copy__(self) -> NoReturn:
        raise Unwritable("a secret is not copied: hand it on, or keep it out of what is copied")

    def __deepcopy__(self, memory: object) -> NoReturn:
        raise Unwritable("a secret is not copied: hand it on, or keep it out of what is copied")

    def __del__(self) -> None:
        if hasattr(self, "_masked"):
            self.wipe()


def _xor(a: bytearray, b: bytearray) -> bytearray:
    return bytearray(x ^ y for x, y in zip(a, b, strict=True))


def _zero(raw: bytearray) -> None:
    raw[:] = bytes(len(raw))


def _forms(raw: bytearray) -> list[str]:
    """How a value may stand in a text, the longest first."""
    quoted = urllib.parse.quote(bytes(raw), safe="")
    encoded = b64encode(raw).decode()
    forms = {raw.hex(), raw.hex().upper(), encoded, encoded.rstrip("="), encoded.translate(_URLSAFE), quoted, quoted.replace("%20", "+")}
    forms |= {urllib.parse.quote(bytes(raw)), urllib.parse.quote(encoded, safe=""), urllib.parse.quote(encoded)}
    text = raw.decode("utf-8", "backslashreplace")
    forms |= {text, repr(text)[1:-1]}
    return sorted(forms, key=len, reverse=True)


_URLSAFE = str.maketrans("+/", "-_")
