"""The search finds what it looks for, in every form that it names, and nothing else."""

from __future__ import annotations

import gzip
import zlib
from base64 import b32encode, b64encode, urlsafe_b64encode
from urllib.parse import quote, quote_plus

import pytest
from attrs import frozen

from keys.sentinel import Sentinel, errors, renderings

VALUE = Sentinel(1).value

FORMS = {
    "plain": VALUE,
    "hex": VALUE.encode().hex(),
    "HEX": VALUE.encode().hex().upper(),
    "base64": b64encode(VALUE.encode()),
    "base64 behind one byte": b64encode(b"k" + VALUE.encode() + b"tail"),
    "base64 behind two bytes": b64encode(b"k=" + VALUE.encode() + b"tail"),
    "base64url": urlsafe_b64encode(b"a:" + VALUE.encode()),
    "base32": b32encode(b"abc" + VALUE.encode() + b"x"),
    "quote": quote(VALUE),
    "quote all": quote(VALUE, safe=""),
    "quote_plus": quote_plus(VALUE),
    "reversed": VALUE[::-1],
    "reversed base64": b64encode(VALUE[::-1].encode()),
    "first half": VALUE[:20],
    "second half": VALUE[20:],
    "first half reversed": VALUE[:20][::-1],
    "second half reversed": VALUE[20:][::-1],
    "utf-16": VALUE.encode("utf-16"),
    "list": str(list(VALUE.encode())),
    "repr of bytes": repr(VALUE.encode()),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_each_form_is_found_in_text_bytes_and_files(form, tmp_path):
    raw = form if isinstance(form, bytes) else form.encode()
    sentinel = Sentinel(1)
    assert sentinel.found(b"before" + raw + b"behind")
    assert sentinel.found(("before" + raw.decode("latin-1") + "behind").encode("latin-1"))
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    (below / "file").write_bytes(b"\0" * 100 + raw)
    assert any(str(below / "file") in place for place in sentinel.found(tmp_path))


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
def test_it_is_found_in_a_packed_file_and_in_a_name(pack, tmp_path):
    sentinel = Sentinel(2, signs="")
    (tmp_path / "packed").write_bytes(pack(sentinel.value.encode()))
    assert any("unpacked" in place for place in sentinel.found(tmp_path))
    (tmp_path / "packed").unlink()
    assert sentinel.found(tmp_path) == []
    (tmp_path / sentinel.value).mkdir()
    assert sentinel.found(tmp_path)


def test_nothing_is_found_where_it_is_not(tmp_path):
    other = Sentinel(3)
    (tmp_path / "file").write_text(other.value)
    assert Sentinel(1).found(tmp_path, other.value, b"", {}, ["a"], ValueError("no")) == []
    assert repr(Sentinel(1)) == "Sentinel()"


@frozen
class Box:
    held: object


@pytest.mark.parametrize("wrap", [lambda v: v, lambda v: [v], lambda v: {"a": {"b": v}}, Box, lambda v: Box([Box(v)])])
def test_it_is_found_in_objects(wrap):
    sentinel = Sentinel(1)
    assert sentinel.found(Box(wrap(sentinel.value)))
    assert sentinel.found(*renderings(wrap(sentinel.value)))


def raises(how):
    try:
        how()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


def test_it_is_found_in_errors_their_locals_and_what_was_suppressed_behind_them():
    sentinel = Sentinel(1)

    def in_its_text():
        raise ValueError(sentinel.value)

    def in_a_local():
        held = sentinel.value
        raise ValueError(len(held))

    def suppressed():
        try:
            in_its_text()
        except ValueError:
            raise KeyError("something") from None

    for how in (in_its_text, in_a_local, suppressed):
        assert sentinel.found(raises(how))
        assert sentinel.found(*errors(raises(how)))
    assert sentinel.found(raises(lambda: int("x"))) == []
