"""Kraken's signature: the vector of its own documentation, and the same made in another way."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.sentinel import Sentinel
from sleeves.keys import InvalidKey, Secret
from sleeves.venues.kraken.sign import signature
from strategies import law

# docs.kraken.com, "Spot REST authentication"
SECRET = "kQH5HW/8p1uGOVjbgWA7FunAmGO8lsSUXNsu3eow76sz84Q18fWxnyRzBHCd3pd5nE9qa99HAZtuZuj6F1huXg=="
BODY = b"nonce=1616492376594&ordertype=limit&pair=XBTUSD&price=37500&type=buy&volume=1.25"
SIGNED = "4/dpxb3iT4tp/ZCVEwSnEsLxx0bqyhLpdfOpc6fn7OR8+UClSV5n9E6aSS8MPtnRfp32bAb0nmbRn6H8ndwLUQ=="


def test_the_official_vector():
    assert signature(Secret(SECRET), "/0/private/AddOrder", 1616492376594, BODY) == SIGNED


@pytest.mark.parametrize(
    ("path", "nonce", "body"),
    [
        ("/0/private/AddOrder", 1616492376595, BODY),
        ("/0/private/CancelOrder", 1616492376594, BODY),
        ("/0/private/AddOrder", 1616492376594, BODY + b" "),
    ],
)
def test_each_part_of_a_call_is_in_it(path, nonce, body):
    assert signature(Secret(SECRET), path, nonce, body) != SIGNED


@law
@given(secret=st.binary(min_size=1, max_size=100), nonce=st.integers(0, 2**64), body=st.binary(max_size=200))
def test_it_is_the_formula_for_any_bytes(secret, nonce, body):
    text = base64.b64encode(secret).decode()
    message = b"/0/private/X" + hashlib.sha256(str(nonce).encode() + body).digest()
    wanted = base64.b64encode(hmac.new(secret, message, hashlib.sha512).digest()).decode()
    assert signature(Secret(text), "/0/private/X", nonce, body) == wanted


@pytest.mark.parametrize("wrong", [SECRET[:-1], SECRET[:-3], SECRET + "\n", " " + SECRET, "not base64 at all!", "Q"])
def test_a_secret_that_is_none_is_told_without_its_value(wrong):
    with pytest.raises(InvalidKey, match="is not base64") as refused:
        signature(Secret(wrong), "/0/private/X", 1, b"")
    assert wrong not in str(refused.value)
    assert refused.value.__context__ is None


def test_no_frame_of_the_error_holds_it():
    sentinel = Sentinel(3, signs="!")
    with pytest.raises(InvalidKey) as refused:
        signature(Secret(sentinel.value), "/0/private/X", 1, sentinel.value.encode())
    refused.value.__traceback__ = refused.value.__traceback__.tb_next
    assert sentinel.found(refused.value) == []
