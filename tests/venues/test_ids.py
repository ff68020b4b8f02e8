"""Order ids in a venue's form, and back."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sleeves.errors import VenueRejected
from sleeves.venues.ids import ClientIds
from strategies import law

NAMES = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,31}", fullmatch=True)
NUMBERS = st.integers(1, 2**40 - 1) | st.integers(1, 2**24 + 3) | st.integers(1, 99)


@law
@given(name=NAMES, number=NUMBERS)
def test_every_id_of_a_sleeve_comes_back(name, number):
    ids, order_id = ClientIds([name]), f"{name}-{number}"
    text, digits = ids.uuid(order_id), ids.hex(order_id)
    assert UUID(text).version == 4
    assert len(text) == 36
    assert len(digits) == 32
    again = ClientIds([name])
    for form in (text, text.upper(), digits, "0x" + digits):
        assert again.order_id(form) == order_id


@law
@given(one=st.tuples(NAMES, NUMBERS), other=st.tuples(NAMES, NUMBERS))
def test_two_orders_have_two_ids(one, other):
    ids = ClientIds([one[0], other[0]])
    assert (ids.uuid("{}-{}".format(*one)) == ids.uuid("{}-{}".format(*other))) is (one == other)


@pytest.mark.parametrize(("name", "number"), [("a" * 15, 2**24 - 1), ("-".join("abcdefgh"), 1), ("0", 7), ("quiet", 12)])
def test_a_short_name_needs_nobody_who_knows_it(name, number):
    assert ClientIds().order_id(ClientIds().uuid(f"{name}-{number}")) == f"{name}-{number}"


@pytest.mark.parametrize(("name", "number"), [("a" * 16, 1), ("a" * 32, 2**40 - 1)])
def test_a_long_name_must_be_known(name, number):
    with pytest.raises(VenueRejected, match="hand it in where the driver is made"):
        ClientIds().uuid(f"{name}-{number}")
    text = ClientIds([name]).uuid(f"{name}-{number}")
    assert ClientIds().order_id(text) is None
    assert ClientIds(["another-sleeve-with-a-long-name"]).order_id(text) is None


def test_a_number_beyond_the_short_form_needs_the_name_too():
    with pytest.raises(VenueRejected, match="hand it in where the driver is made"):
        ClientIds().uuid(f"quiet-{2**24}")
    assert ClientIds(["quiet"]).order_id(ClientIds(["quiet"]).uuid(f"quiet-{2**24}")) == f"quiet-{2**24}"


@pytest.mark.parametrize(
    "order_id", ["", "quiet", "quiet-", "quiet-0", "quiet-01", "quiet--1x", "Quiet-1", "quiet-1.5", f"quiet-{2**40}", "-1", "é-1", None, 7]
)
def test_what_is_no_order_id_is_refused(order_id):
    with pytest.raises(VenueRejected, match="is not a sleeve's name and a number"):
        ClientIds().uuid(order_id)


@pytest.mark.parametrize("name", ["", "Quiet", "a" * 33, None, "a b"])
def test_what_is_no_name_is_refused(name):
    with pytest.raises(VenueRejected, match="no name of a sleeve"):
        ClientIds([name])


@pytest.mark.parametrize("text", [None, 7, "", "x" * 32, "0" * 32, "f" * 32, "a-b", "6d1b345e-2821-40e2-ad83-4ecb18a06876", "é" * 32])
def test_ids_of_others_are_none_of_ours(text):
    assert ClientIds(["a" * 16]).order_id(text) is None


def test_ids_made_at_random_are_hardly_ever_taken_for_ours():
    ids = ClientIds()
    assert sum(ids.order_id(str(uuid4())) is not None for _ in range(20_000)) < 8  # 0.3 are expected


@law
@given(name=NAMES, number=NUMBERS, bit=st.integers(0, 127))
def test_a_changed_bit_is_not_taken_for_another_order_of_ours_as_a_rule(name, number, bit):
    ids, order_id = ClientIds([name]), f"{name}-{number}"
    changed = UUID(int=int(ids.hex(order_id), 16) ^ 1 << bit)
    assert ids.order_id(str(changed)) != order_id
