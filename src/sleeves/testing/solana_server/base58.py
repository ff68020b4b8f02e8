"""Base 58 with Bitcoin's alphabet, which is how Solana writes keys, signatures and short bytes. It knows nothing else."""

from __future__ import annotations

__all__ = ["decode58", "encode58"]

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_VALUES = {letter: value for value, letter in enumerate(_ALPHABET)}


def encode58(raw: bytes) -> str:
    """Bytes as text: leading zero bytes are ones."""
    number, digits = int.from_bytes(raw, "big"), ""
    while number:
        number, rest = divmod(number, 58)
        digits = _ALPHABET[rest] + digits
    return "1" * (len(raw) - len(raw.lstrip(b"\0"))) + digits


def decode58(text: str) -> bytes:
    """Text as bytes. Raises ValueError for what is not base 58."""
    number = 0
    for letter in text:
        if letter not in _VALUES:
            raise ValueError(f"{letter!r} is no letter of base 58")
        number = number * 58 + _VALUES[letter]
    ones = len(text) - len(text.lstrip("1"))
    return bytes(ones) + number.to_bytes((number.bit_length() + 7) // 8, "big")
