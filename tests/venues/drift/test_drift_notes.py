"""The memo of our transactions: what is written is read back, what is not ours is not taken for it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sleeves.errors import VenueRejected
from sleeves.venues.drift.notes import (
    MOST_ID,
    CancelNote,
    OrderNote,
    SettleNote,
    TransferNote,
    cancel_note,
    in_ms,
    order_note,
    read_note,
    settle_note,
    told_by,
    transfer_note,
)
from sleeves.venues.ids import ClientIds

IDS = ClientIds()
ORDER_IDS = st.builds(lambda name, n: f"{name}-{n}", st.from_regex(r"[a-z][a-z0-9]{0,9}", fullmatch=True), st.integers(1, 2**24 - 1))
TRANSFER_IDS = st.text(st.characters(codec="ascii", exclude_categories=["Cc", "Zs"]), min_size=1, max_size=MOST_ID)
INSTANTS = st.integers(0, 4 * 10**18)


@given(ORDER_IDS, st.integers(1, 2**63), INSTANTS)
def test_an_orders_note_is_read_back(order_id, qty, at):
    text = order_note(IDS, order_id, qty, at, "SOL-PERP:1")
    assert read_note(IDS, text) == OrderNote(order_id, qty, in_ms(at), "SOL-PERP:1")
    assert told_by(IDS, ["gm", text]) == read_note(IDS, text)


@given(TRANSFER_IDS, INSTANTS)
def test_a_transfers_note_is_read_back_whatever_its_id(name, at):
    assert read_note(IDS, transfer_note(name, at)) == TransferNote(name, in_ms(at))


@given(ORDER_IDS, INSTANTS)
def test_a_cancels_and_a_settlements_note_are_read_back(order_id, at):
    assert read_note(IDS, cancel_note(IDS, order_id, at)) == CancelNote(order_id, in_ms(at))
    assert read_note(IDS, settle_note("SOL-PERP:0", at)) == SettleNote("SOL-PERP:0", in_ms(at))


def test_an_instant_is_rounded_up_to_milliseconds_so_that_no_order_is_older_than_it_was():
    assert in_ms(1) == 1_000_000
    assert in_ms(1_000_000) == 1_000_000
    assert in_ms(1_000_001) == 2_000_000


@pytest.mark.parametrize("name", ["", "two words", "tab\t", "ümlaut", "x" * (MOST_ID + 1)])
def test_an_id_that_could_not_be_read_back_is_refused(name):
    with pytest.raises(VenueRejected, match="goes into no memo"):
        transfer_note(name, 0)
    assert read_note(IDS, transfer_note("x" * MOST_ID, 0)) is not None


def test_two_notes_in_one_transaction_say_nothing():
    one, other = transfer_note("a", 1), transfer_note("b", 1)
    assert told_by(IDS, [one]) == TransferNote("a", 1_000_000)
    assert told_by(IDS, [one, other]) is None
    assert told_by(IDS, []) is None


@given(st.text(max_size=80))
def test_what_others_write_is_no_note_or_reads_like_one(text):
    note = read_note(IDS, text)
    assert note is None or len(text.split(" ")) in (3, 4)


@pytest.mark.parametrize(
    "text",
    [
        "transfer 1 a b c",
        "transfer x a",
        "transfer 1 ",
        "settle -1 SOL-PERP:0",
        "cancel 1 " + "0" * 32,
        "cancel 99999999999999999999999 " + IDS.hex("quiet-1"),
        IDS.hex("quiet-1") + " 0 1 SOL-PERP:0",
        IDS.hex("quiet-1") + " 5 1 ",
        "0" * 32 + " 5 1 SOL-PERP:0",
    ],
)
def test_what_is_nearly_a_note_is_none(text):
    assert read_note(IDS, text) is None
