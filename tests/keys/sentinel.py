"""A value that must never be found again, and the search for it: in text, bytes, objects, errors and whole folders.

    sentinel = Sentinel()
    do_something_with(sentinel.value)          # an expression: no name of a test's frame holds it
    assert sentinel.found(text, data, folder) == []
    assert sentinel.found(*renderings(thing), *errors(error)) == []

It is looked for as it is, in UTF-16, hex, base64 and base32 at every alignment, urlencoded (each byte, too), escaped,
compressed with zlib or gzip in a file of its own, reversed, and by each of its halves either way round.
"""

from __future__ import annotations

import copy
import gzip
import io
import json
import pickle
import pprint
import random
import string
import traceback
import urllib.parse
import zlib
from base64 import b32encode, b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs

LENGTH = 40
_LETTERS = string.ascii_letters + string.digits


class Sentinel:
    """A random secret: 40 letters and digits, with some that urlencoding and base64 change where `signs` are given."""

    def __init__(self, seed: int | None = None, signs: str = "+/=") -> None:
        letters = random.Random(seed).choices(_LETTERS, k=LENGTH - len(signs))
        for place, sign in enumerate(signs, 1):
            letters.insert(place * len(letters) // (len(signs) + 1), sign)
        self._letters = letters

    @property
    def value(self) -> str:
        return "".join(self._letters)

    def __repr__(self) -> str:
        return "Sentinel()"

    @property
    def forms(self) -> dict[str, bytes]:
        """How it may stand somewhere, by what that is called."""
        raw = self.value.encode()
        half = len(raw) // 2
        forms = {"plain": raw, "reversed": raw[::-1]}
        for name, part in (("first half", raw[:half]), ("second half", raw[half:])):
            forms |= {name: part, f"{name} reversed": part[::-1]}
        for name, part in (("", raw), ("reversed ", raw[::-1])):
            forms |= {
                f"{name}utf-16": part.decode().encode("utf-16-le"),
                f"{name}utf-16 the other way": part.decode().encode("utf-16-be"),
                f"{name}hex": part.hex().encode(),
                f"{name}hex in capitals": part.hex().upper().encode(),
                f"{name}hex with spaces": part.hex(" ").encode(),
                f"{name}urlencoded": urllib.parse.quote(part, safe="").encode(),
                f"{name}urlencoded, / kept": urllib.parse.quote(part).encode(),
                f"{name}urlencoded, each byte": b"".join(b"%%%02X" % byte for byte in part),
                f"{name}json": json.dumps(part.decode()).replace("/", "\\/")[1:-1].encode(),
                f"{name}list of bytes": ", ".join(map(str, part)).encode(),
            }
            for shift in range(3):
                whole = b64encode(b"\0" * shift + part)
                inner = whole[-(-shift * 8 // 6) : len(whole) - 4]  # what does not hang on what stands beside it
                forms |= {f"{name}base64 {shift}": inner, f"{name}base64url {shift}": inner.translate(bytes.maketrans(b"+/", b"-_"))}
            for shift in range(5):
                whole = b32encode(b"\0" * shift + part)
                forms[f"{name}base32 {shift}"] = whole[-(-shift * 8 // 5) : len(whole) - 8]
        return forms

    def found(self, *where: object) -> list[str]:
        """Where it stands and how, in words; nothing where it does not. Paths are read, folders with all that is below them.

        Text and bytes are searched; any other object by its `renderings`, an exception by its `errors`.
        """
        forms = self.forms
        return [f"{name} in {place}" for place, raw in _texts(where) for name, form in forms.items() if form in raw]


def _texts(where: tuple[object, ...]) -> Iterator[tuple[str, bytes]]:
    for number, one in enumerate(where):
        if isinstance(one, (bytes, bytearray)):
            yield f"bytes {number}", bytes(one)
        elif isinstance(one, str):
            yield f"text {number}", one.encode("utf-8", "surrogatepass")
        elif isinstance(one, Path):
            yield from _files(one)
        elif isinstance(one, BaseException):
            yield from ((f"{type(one).__name__} {number}", text.encode("utf-8", "surrogatepass")) for text in errors(one))
        else:
            yield from ((f"{type(one).__name__} {number}", text.encode("utf-8", "surrogatepass")) for text in renderings(one))


def _files(path: Path) -> Iterator[tuple[str, bytes]]:
    """Each file below a path: its name, its content, and what that is when it is unpacked."""
    yield f"the name {path}", str(path).encode()
    if path.is_dir():
        for below in sorted(path.rglob("*")):
            yield from _files(below) if not below.is_dir() else [(f"the name {below}", str(below).encode())]
    elif path.is_file():
        raw = path.read_bytes()
        yield str(path), raw
        for unpack in (gzip.decompress, zlib.decompress):
            try:
                yield f"{path}, unpacked", unpack(raw)
            except (OSError, EOFError, zlib.error):
                pass


def errors(error: BaseException) -> list[str]:
    """All that a report of an error can show: its text, its notes, its frames with their locals, and the same of every error
    behind it, whether it is told or suppressed.
    """
    texts, waiting, seen = [], [error], set()
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        texts += [repr(one), str(one), repr(one.args), repr(vars(one)), repr(getattr(one, "__notes__", ""))]
        texts += traceback.TracebackException.from_exception(one).format()
        texts += [f"{name} = {_safe(value)}" for frame, _ in traceback.walk_tb(one.__traceback__) for name, value in frame.f_locals.items()]
        waiting += [behind for behind in (one.__cause__, one.__context__) if behind is not None]
        waiting += getattr(one, "exceptions", ())
    return texts


def _safe(value: object) -> str:
    try:
        return repr(value)
    except Exception as error:  # what is half made has no repr
        return f"{type(error).__name__}: {error}"


def renderings(thing: Any, depth: int = 4) -> list[str]:
    """All that a log, a dump or a debugger makes of an object, and of what can be reached through its attributes."""
    texts: list[str] = []
    seen: set[int] = set()
    _render(thing, depth, texts, seen)
    return texts


def _render(thing: Any, depth: int, texts: list[str], seen: set[int]) -> None:
    if id(thing) in seen or depth < 0:
        return
    seen.add(id(thing))
    if isinstance(thing, (int, float, complex, type(None))):
        return
    ways = [repr, str, ascii, format, lambda one: f"{one:>60}", lambda one: f"{one!r:.500}", lambda one: "%s %r" % (one, one)]  # noqa: UP031
    ways += [pprint.pformat, json.dumps, lambda one: json.dumps(one, default=repr), lambda one: json.dumps(one, default=vars)]
    ways += [
        lambda one: bytes(one).decode("latin-1"),
        lambda one: repr(list(one)),
        lambda one: repr(dict(one)),
        lambda one: repr(vars(one)),
        lambda one: repr(attrs.asdict(one)),
    ]
    ways += [lambda one: repr(copy.copy(one)), lambda one: repr(copy.deepcopy(one)), lambda one: repr(hash(one))]
    ways += [lambda one, protocol=p: pickle.dumps(one, protocol).decode("latin-1") for p in range(pickle.HIGHEST_PROTOCOL + 1)]
    ways += [lambda one: pickle._dumps(one).decode("latin-1"), _printed]
    for way in ways:
        try:
            texts.append(way(thing))
        except Exception as error:
            texts += _behind_us(error)
    if isinstance(thing, (str, bytes, bytearray, type)):
        return
    for name in dir(thing):
        if name.startswith("__") and name not in ("__dict__", "__slots__", "__doc__"):
            continue
        try:
            inner = getattr(thing, name)
        except Exception as error:
            texts += _behind_us(error)
            continue
        texts.append(f"{name} {inner!r}")
        if not callable(inner):
            _render(inner, depth - 1, texts, seen)
    for inner in (
        list(thing.values()) if isinstance(thing, dict) else list(thing) if isinstance(thing, (list, tuple, set, frozenset)) else ()
    ):
        _render(inner, depth - 1, texts, seen)


def _behind_us(error: Exception) -> list[str]:
    """What an error shows, the frame of the search itself apart: that holds all texts so far."""
    return errors(error.with_traceback(error.__traceback__ and error.__traceback__.tb_next))


def _printed(thing: Any) -> str:
    out = io.StringIO()
    print(thing, file=out)
    return out.getvalue()
