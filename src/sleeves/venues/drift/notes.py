"""What a transaction of ours says of itself: a memo in it, so that the chain alone tells whose order or transfer it was.

The program's only id of a client's own is one byte, so our ids stand in a memo of the same transaction, which lands with it or not
at all. Nothing of ours is kept in a file between the books and the chain.

    order       "<32 hex digits> <base units> <milliseconds> <symbol>"      the id of `ids.ClientIds`
    transfer    "transfer <milliseconds> <id>"
    cancel      "cancel <milliseconds> <32 hex digits>"                     of which order
    settle      "settle <milliseconds> <symbol>"

Anybody can write a memo. One counts only in a transaction that our own key paid for, and where it is the only such note in it:
`told_by` looks at the second, its caller at the first. It asks nobody and knows no chain.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from ...errors import VenueRejected
from ..ids import ClientIds

__all__ = [
    "MOST_ID",
    "CancelNote",
    "Note",
    "OrderNote",
    "SettleNote",
    "TransferNote",
    "cancel_note",
    "in_ms",
    "order_note",
    "read_note",
    "settle_note",
    "told_by",
    "transfer_note",
]

MOST_ID = 128
"""The most characters of a transfer's id."""
_MS = 1_000_000
_LATEST = 10**19


@frozen(order=False)
class OrderNote:
    """This transaction places an order: its id, its base units, when it was made (UTC ns), the symbol of its instrument."""

    order_id: str
    qty: int
    at: int
    symbol: str


@frozen(order=False)
class TransferNote:
    """This transaction is the transfer of that id, made at an instant in UTC ns."""

    id: str
    at: int


@frozen(order=False)
class CancelNote:
    """This transaction cancels the order of that id of ours, asked at an instant in UTC ns."""

    order_id: str
    at: int


@frozen(order=False)
class SettleNote:
    """This transaction settles what one instrument's contracts have made, asked at an instant in UTC ns."""

    symbol: str
    at: int


Note = OrderNote | TransferNote | CancelNote | SettleNote


def in_ms(at: int) -> int:
    """An instant as a note tells it: UTC ns, rounded up to whole milliseconds."""
    return -(-at // _MS) * _MS


def order_note(ids: ClientIds, order_id: str, qty: int, at: int, symbol: str) -> str:
    """The note of an order. Raises `VenueRejected` for an id that could not be read back."""
    return f"{ids.hex(order_id)} {qty} {in_ms(at) // _MS} {symbol}"


def transfer_note(transfer_id: str, at: int) -> str:
    """The note of a transfer. Raises `VenueRejected` for an id that could not be read back."""
    if not transfer_id or len(transfer_id) > MOST_ID or not transfer_id.isascii() or not transfer_id.isprintable() or " " in transfer_id:
        raise VenueRejected(f"the id {transfer_id!r} of a transfer goes into no memo: 1 to {MOST_ID} printable letters without a space")
    return f"transfer {in_ms(at) // _MS} {transfer_id}"


def cancel_note(ids: ClientIds, order_id: str, at: int) -> str:
    """The note of a cancel. Raises `VenueRejected` for an id that could not be read back."""
    return f"cancel {in_ms(at) // _MS} {ids.hex(order_id)}"


def settle_note(symbol: str, at: int) -> str:
    """The note of a settlement that we asked for."""
    return f"settle {in_ms(at) // _MS} {symbol}"


def read_note(ids: ClientIds, text: str) -> Note | None:
    """What one of the functions above wrote; None for what none of them did."""
    words = text.split(" ")
    if len(words) == 4:
        order_id, qty, at = ids.order_id(words[0]), _number(words[1]), _instant(words[2])
        return OrderNote(order_id, qty, at, words[3]) if order_id is not None and qty and at is not None and words[3] else None
    if len(words) != 3:
        return None
    at = _instant(words[1])
    if at is None or not words[2]:
        return None
    if words[0] == "transfer":
        return TransferNote(words[2], at) if len(words[2]) <= MOST_ID else None
    if words[0] == "settle":
        return SettleNote(words[2], at)
    order_id = ids.order_id(words[2]) if words[0] == "cancel" else None
    return None if order_id is None else CancelNote(order_id, at)


def told_by(ids: ClientIds, memos: Sequence[str]) -> Note | None:
    """What the memos of one transaction say of it: None for nothing, and where two of them say such a thing."""
    found = [note for note in (read_note(ids, text) for text in memos) if note is not None]
    return found[0] if len(found) == 1 else None


def _number(word: str) -> int | None:
    return int(word) if word.isascii() and word.isdigit() and len(word) <= 40 else None


def _instant(word: str) -> int | None:
    number = _number(word)
    return None if number is None or number * _MS > _LATEST else number * _MS
