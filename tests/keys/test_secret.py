"""A secret is revealed where it is asked to be, and nowhere else."""

from __future__ import annotations

import copy
import gc
import hmac
import json
import pickle
from base64 import b64encode, urlsafe_b64encode
from urllib.parse import quote, quote_plus

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.sentinel import Sentinel
from sleeves.errors import SleevesError, VenueUnavailable
from sleeves.keys import HIDDEN, InvalidKey, KeysError, NoKey, NoSecret, RightsRefused, Sealed, Secret, Unwritable


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1) | st.binary(min_size=1))
def test_what_went_in_comes_out_as_bytes_and_text_as_text(value):
    secret = Secret(value)
    raw = value.encode() if isinstance(value, str) else value
    with secret.reveal_bytes() as seen:
        assert seen == raw
    if isinstance(value, str):
        assert secret.reveal() == value
    assert Secret(bytearray(raw)) == secret


@pytest.mark.parametrize("way", [repr, str, "{}".format, "{:>40}".format, "{!r}".format, lambda s: f"{s:x}", lambda s: f"{s!s}", ascii])
def test_it_is_shown_as_stars(way):
    assert way(Secret("abcdefgh")).strip() == f"Secret({HIDDEN})"


@pytest.mark.parametrize(
    ("value", "said"),
    [("", "empty"), (b"", "empty"), (None, "NoneType"), (17, "int"), (["a"], "list"), ("\ud800", "Unicode"), ("x" * 65_537, "longer")],
)
def test_what_is_no_secret_is_refused(value, said):
    with pytest.raises(InvalidKey, match=said):
        Secret(value)


def test_a_refused_value_is_not_in_the_error_nor_in_its_frames():
    sentinel = Sentinel()
    for make in (lambda: Secret(sentinel.value + "\udc80"), lambda: Secret([sentinel.value]), lambda: Secret(sentinel.value * 2_000)):
        with pytest.raises(InvalidKey) as refused:
            make()
        assert sentinel.found(refused.value) == []


@given(st.binary(min_size=1), st.binary(min_size=1))
def test_equal_secrets_are_those_of_equal_values(a, b):
    assert (Secret(a) == Secret(b)) is (a == b)
    assert (Secret(a) != Secret(b)) is (a != b)
    assert Secret(a) != a
    assert a != Secret(a)


def test_it_is_compared_in_constant_time(monkeypatch):
    """Whatever compares goes through `compare_digest`; that it is given both values whole is what is seen here."""
    asked = []

    def compare(a, b):
        asked.append((bytes(a), bytes(b)))
        return hmac.compare_digest(a, b)

    monkeypatch.setattr("sleeves.keys.secret.compare_digest", compare)
    assert Secret("abc") != Secret("abd")
    assert asked == [(b"abc", b"abd")]


def test_it_has_no_hash_length_items_attributes_or_order():
    secret = Secret("abcdefgh")
    for ask in (hash, len, iter, vars, bytes, int, lambda s: s[0], lambda s: s + "x", lambda s: "a" in s, lambda s: s < s):
        with pytest.raises(TypeError):
            ask(secret)
    for change in (lambda: setattr(secret, "value", 1), lambda: setattr(secret, "_masked", b""), lambda: delattr(secret, "_mask")):
        with pytest.raises(AttributeError):
            change()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_it_is_not_pickled_alone_or_inside(protocol):
    for thing in (Secret("abcdefgh"), [Secret("abcdefgh")], {"key": Secret("abcdefgh")}):
        with pytest.raises(Unwritable):
            pickle.dumps(thing, protocol)


@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy, lambda s: copy.deepcopy({"a": [s]}), lambda s: s.__getstate__()])
def test_it_is_not_copied(way):
    with pytest.raises(Unwritable):
        way(Secret("abcdefgh"))


def test_json_does_not_take_it():
    with pytest.raises(TypeError):
        json.dumps({"key": Secret("abcdefgh")})
    assert json.dumps(Secret("abcdefgh"), default=str) == f'"Secret({HIDDEN})"'


def test_a_dump_of_what_holds_it_shows_stars():
    @attrs.frozen
    class Config:
        key: Secret

    assert str(attrs.asdict(Config(Secret("abcdefgh")))) == "{'key': Secret(****)}"


def test_the_value_is_in_no_attribute_of_it_and_in_nothing_that_it_refers_to():
    sentinel = Sentinel()
    secret = Secret(sentinel.value)
    parts = [bytes(getattr(secret, name)) for name in Secret.__slots__ if name != "__weakref__"]
    assert [len(part) for part in parts] == [40, 40]
    assert sentinel.found(*parts, *[repr(one) for one in gc.get_referents(secret)]) == []
    again = [bytes(getattr(Secret(sentinel.value), name)) for name in Secret.__slots__ if name != "__weakref__"]
    assert not set(parts) & set(again)  # each has a mask of its own


def test_a_wiped_secret_is_gone():
    secret = Secret("abcdefgh")
    masked, mask = secret._masked, secret._mask
    secret.wipe()
    secret.wipe()
    assert secret.wiped and not masked and not mask
    for ask in (secret.reveal, lambda: secret.reveal_bytes().__enter__()):
        with pytest.raises(InvalidKey, match="wiped"):
            ask()
    assert secret == secret
    assert secret != Secret("abcdefgh")
    assert repr(secret) == "Secret(****)"
    assert secret.hide("abcdefgh") == "abcdefgh"


def test_one_that_nobody_has_any_more_is_zeroed():
    secret = Secret("abcdefgh")
    masked = secret._masked
    del secret
    gc.collect()
    assert masked == b""


def test_a_buffer_is_zeroed_when_its_block_ends_by_an_error_too_so_that_no_traceback_shows_it():
    sentinel = Sentinel()
    secret = Secret(sentinel.value)
    with secret.reveal_bytes() as kept:
        assert sentinel.found(kept)
    assert kept == bytes(40)

    def sign():
        with secret.reveal_bytes() as raw:
            raise ConnectionError(len(raw))

    with pytest.raises(ConnectionError) as failed:
        sign()
    assert sentinel.found(failed.value) == []


def test_bytes_that_are_no_text_are_not_revealed_as_text_nor_in_the_error():
    sentinel = Sentinel()
    secret = Secret(sentinel.value.encode() + b"\xff")
    with pytest.raises(InvalidKey, match="reveal_bytes") as refused:
        secret.reveal()
    assert sentinel.found(refused.value) == []


@given(st.text("abc+/= %&\\'\"é", min_size=4, max_size=30), st.text(max_size=20), st.text(max_size=20))
def test_it_is_hidden_in_what_others_say(value, before, behind):
    raw = value.encode()
    secret = Secret(value)
    for form in (value, raw.hex(), b64encode(raw).decode(), urlsafe_b64encode(raw).decode(), quote(value, safe=""), quote_plus(value)):
        assert secret.hide(f"{before}|{form}|{behind}").count(HIDDEN) >= 1
        if form not in f"{HIDDEN}|{before}|{behind}|":
            assert form not in secret.hide(f"{before}|{form}|{behind}")


def test_hiding_takes_text_and_leaves_what_is_too_short_to_find():
    assert Secret("abc").hide("abcabc") == "abcabc"
    with pytest.raises(InvalidKey, match="bytes"):
        Secret("abcd").hide(b"abcd")


def test_the_errors_are_one_tree():
    for kind in (InvalidKey, NoKey, NoSecret, RightsRefused, Sealed, Unwritable):
        assert issubclass(kind, KeysError)
        assert issubclass(kind, SleevesError)
    assert issubclass(InvalidKey, ValueError)
    assert issubclass(Unwritable, TypeError)
    assert issubclass(NoKey, VenueUnavailable)
    assert NoKey("none", 7).until == 7
