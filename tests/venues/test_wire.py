"""The wire: bytes as they were given, numbers as they were written, and what an error says about what was done."""

from __future__ import annotations

import gzip
import json
import logging
import tracemalloc
from decimal import Decimal

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.sentinel import Sentinel
from sleeves.errors import InvalidMarket, VenueUnavailable, VenueUnknown
from sleeves.venues.wire import Reply, Wire, exact
from strategies import law
from venues.raw_server import HANG, closed_port, raw, reply

both = pytest.mark.parametrize("backend", ["asyncio", "trio"])


def run(backend, story, url, **terms):
    async def main():
        async with Wire(url, timeout=0.4, connect_timeout=0.4, **terms) as wire:
            return await story(wire)

    return anyio.run(main, backend=backend)


# -- numbers -----------------------------------------------------------------------------------------------------------------


@law
@given(figures=st.lists(st.integers(-(10**40), 10**40).map(str) | st.from_regex(r"-?(0|[1-9][0-9]{0,30})\.[0-9]{1,40}", fullmatch=True)))
def test_a_number_keeps_each_digit_and_is_never_a_float(figures):
    read = exact("[" + ",".join(figures) + "]")
    assert [format(value, "f") if isinstance(value, Decimal) else str(value) for value in read] == [
        text if "." in text else str(int(text)) for text in figures
    ]
    assert all(
        isinstance(value, Decimal) is ("." in text) and not isinstance(value, float) for value, text in zip(read, figures, strict=True)
    )


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20
)


@law
@given(value=json_values)
def test_what_is_no_number_is_read_as_everybody_reads_it(value):
    assert exact(json.dumps(value)) == value


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "Expecting value"),
        ("<html>", "Expecting value"),
        ("{'a': 1}", "Expecting property name"),
        ('{"a": 1', "Expecting"),
        ("NaN", "no number"),
        ('{"a": [Infinity]}', "no number"),
        ("-Infinity", "no number"),
        ('{"a": 1, "b": 2, "a": 1}', "one key twice"),
        ("[1] 2", "Extra data"),
        ("1" * 201, "a number of 201 characters"),
        ("0." + "1" * 199, "a number of 201 characters"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_no_json_that_says_one_thing_is_refused(text, why):
    with pytest.raises(ValueError, match=why):
        exact(text)
    with pytest.raises(VenueUnknown, match="status 200 and what is no JSON") as refused:
        Reply(200, {}, text).json()
    assert refused.value.__context__ is None


def test_the_longest_number_is_still_read():
    assert exact("1" * 200) == int("1" * 200)


# -- out and back ------------------------------------------------------------------------------------------------------------


@both
def test_the_bytes_that_go_out_are_those_that_were_given(backend):
    body = bytes(range(256)) + "nonce=1&é".encode()
    with raw(lambda _: reply(200, '{"a": 0.10}', headers=["X-One: two"])) as (url, requests):
        answered = run(backend, lambda wire: wire.post("/0/private/X", body, {"API-Key": "k"}), url + "/")
    head, _, sent = requests[0].partition(b"\r\n\r\n")
    assert sent == body
    assert head.startswith(b"POST /0/private/X HTTP/1.1\r\n") and b"API-Key: k\r\n" in head + b"\r\n"
    assert (answered.status, answered.text, answered.headers["x-one"]) == (200, '{"a": 0.10}', "two")
    assert str(answered.json()["a"]) == "0.10"
    assert "0.10" not in repr(answered)


@both
def test_a_query_is_written_once(backend):
    with raw(lambda _: reply(200, "[]")) as (url, requests):
        run(backend, lambda wire: wire.get("/0/public/X", {"pair": "A,B", "since": 5}), url)
        run(backend, lambda wire: wire.get("/0/public/X"), url)
    assert [request.split(b" ")[1] for request in requests] == [b"/0/public/X?pair=A%2CB&since=5", b"/0/public/X"]


@both
@pytest.mark.parametrize("status", [200, 204, 302, 400, 404, 429, 500, 520])
def test_every_status_is_a_reply_and_nothing_is_followed(backend, status):
    with raw(lambda _: reply(status, "" if status == 204 else "said", headers=["Location: /elsewhere"])) as (url, requests):
        answered = run(backend, lambda wire: wire.get("/x"), url)
    assert (answered.status, len(requests)) == (status, 1)


@both
def test_a_reply_that_is_packed_is_unpacked(backend):
    packed = gzip.compress(b'{"a": 1}')
    with raw(lambda _: reply(200, packed, headers=["Content-Encoding: gzip"])) as (url, _):
        assert run(backend, lambda wire: wire.get("/"), url).json() == {"a": 1}


@both
def test_it_is_closed_and_opens_anew(backend):
    async def story(wire):
        first = await wire.get("/")
        await wire.aclose()
        await wire.aclose()
        return first.text, (await wire.get("/")).text

    with raw(lambda _: reply(200, "a")) as (url, _):
        assert run(backend, story, url) == ("a", "a")


# -- what is lost ------------------------------------------------------------------------------------------------------------

LOST = {
    "no answer": (lambda _: HANG, {}),
    "cut before the answer": (lambda _: b"", {}),
    "cut in the head": (lambda _: b"HTTP/1.1 200 OK\r\nContent-", {}),
    "cut in the body": (lambda _: reply(200, '{"a"', length=50), {}),
    "no http": (lambda _: b"SSH-2.0-x\r\n\r\n", {}),
    "too long": (lambda _: reply(200, "x" * 101), {"most_bytes": 100}),
    "too long once unpacked": (
        lambda _: reply(200, gzip.compress(b"x" * 10_000), headers=["Content-Encoding: gzip"]),
        {"most_bytes": 5_000},
    ),
    "not packed as it says": (lambda _: reply(200, "plain", headers=["Content-Encoding: gzip"]), {}),
    "no text": (lambda _: reply(200, b"\xff\xfe\x00"), {}),
    "dripping": (lambda _: [reply(200, "", length=100), *[b"x", 0.15] * 20], {}),
}


@both
@pytest.mark.parametrize("how", LOST)
@pytest.mark.parametrize("method", ["get", "post"])
def test_what_was_sent_and_has_no_whole_answer_may_have_been_done(backend, how, method):
    if backend == "trio" and method == "get" and how == "dripping":
        pytest.skip("once is enough for what takes a second")
    answer, terms = LOST[how]

    async def story(wire):
        await (wire.get("/a", {"q": "1"}) if method == "get" else wire.post("/a", b"x=1"))

    told = rf"{method.upper()} /a of http://127.0.0.1:[0-9]+: .*; it was sent, and may have been done"
    with raw(answer) as (url, requests), pytest.raises(VenueUnknown, match=told):
        run(backend, story, url, **terms)
    assert len(requests) == 1, "it was sent again"


@pytest.mark.parametrize("packed", [True, False])
def test_a_reply_that_is_too_long_is_not_kept_in_memory(packed):
    body, headers = bytes(64 * 1024 * 1024), ["Content-Encoding: gzip"] * packed
    answer = reply(200, gzip.compress(body, 1) if packed else body, headers=headers)
    del body

    async def story(wire):
        await wire.get("/")  # what the library needs for its first call is not counted
        tracemalloc.start()
        try:
            with pytest.raises(VenueUnknown, match="more than 1000000 bytes"):
                await wire.get("/long")
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    async def main(url):
        async with Wire(url, timeout=10, most_bytes=1_000_000) as wire:
            return await story(wire)

    with raw(lambda request: answer if b"/long" in request else reply(200, "")) as (url, _):
        assert anyio.run(main, url) < 8 * 1024 * 1024


def test_the_longest_reply_is_still_taken():
    with raw(lambda _: reply(200, "x" * 100)) as (url, _):
        assert run("asyncio", lambda wire: wire.get("/"), url, most_bytes=100).text == "x" * 100


@both
def test_where_nobody_listens_nothing_was_sent(backend):
    with pytest.raises(VenueUnavailable, match=r"no connection .*; nothing was sent"):
        run(backend, lambda wire: wire.post("/a", b""), closed_port())


@both
@pytest.mark.parametrize("headers", [{"API-Key": "schlüssel\u20ac"}])
def test_what_cannot_be_written_is_not_sent(backend, headers):
    told = "cannot be written as HTTP; nothing was sent"
    with raw(lambda _: reply()) as (url, requests), pytest.raises(VenueUnavailable, match=told):
        run(backend, lambda wire: wire.post("/a", b"", headers), url)
    assert requests == []


# -- what it is made of --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url", ["", "ftp://x", "http://", "//x", "x.y", "http://user:pass@x", "http://x/#f", "http://x:99999999", None, 5, "http://[::1"]
)
def test_a_base_that_is_none_is_refused(url):
    with pytest.raises(InvalidMarket, match="the base of a wire is an http or https URL"):
        Wire(url)


@pytest.mark.parametrize("name", ["timeout", "connect_timeout", "most_bytes"])
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), True, "5", None])
def test_a_time_or_a_size_that_is_none_is_refused(name, value):
    with pytest.raises(InvalidMarket, match=f"{name} .* must be a positive number"):
        Wire("http://x", **{name: value})


def test_what_is_shown_of_it_is_the_host():
    assert repr(Wire("https://host.example:8443/token-in-the-path/")) == "<Wire https://host.example:8443>"


# -- secrets -------------------------------------------------------------------------------------------------------------------

SECRET_PATHS = {**{how: LOST[how] for how in LOST if how != "dripping"}, "refused": (None, {}), "answered": (lambda _: reply(200, "x"), {})}


@both
@pytest.mark.parametrize("how", SECRET_PATHS)
def test_no_header_body_or_query_is_in_an_error_or_a_log(backend, how, caplog):
    caplog.set_level(logging.DEBUG)
    sentinel, (answer, terms) = Sentinel(7), SECRET_PATHS[how]

    async def story(wire):
        said = []
        for call in (
            lambda: wire.post("/a", f"otp={sentinel.value}".encode(), {"API-Key": sentinel.value}),
            lambda: wire.get("/a", {"key": sentinel.value}, {"X-Api-Key": sentinel.value}),
        ):
            try:
                await call()
            except (VenueUnavailable, VenueUnknown) as error:
                error.__traceback__ = error.__traceback__.tb_next  # this frame holds the calls
                said.append(error)
        return said

    if answer is None:
        said = run(backend, story, closed_port(), **terms)
    else:
        with raw(answer) as (url, requests):
            said = run(backend, story, url, **terms)
        assert len(requests) == 2
    assert len(said) == (0 if how == "answered" else 2)
    assert sentinel.found(caplog.text, *[str(vars(record)) for record in caplog.records], *said) == []
    assert "httpcore" in {record.name.partition(".")[0] for record in caplog.records}, "the library logs, and it was looked at"


def test_a_base_with_a_token_in_it_is_not_shown():
    sentinel = Sentinel(8, signs="")
    with pytest.raises(InvalidMarket) as refused:
        Wire(f"wss://host/{sentinel.value}")
    assert sentinel.found(str(refused.value)) == []

    async def story(wire):
        with pytest.raises(VenueUnavailable) as lost:
            await wire.post("", b"")
        return str(lost.value)

    assert sentinel.found(run("asyncio", story, f"{closed_port()}/{sentinel.value}")) == []
