"""Two ways to Kraken: each signs what it sends, keeps the order of a key's nonces, and says what is known of a lost call."""

from __future__ import annotations

import base64
import logging
import time
from functools import partial

import anyio
import pytest

from keys.sentinel import Sentinel
from sleeves.errors import InvalidMarket, VenueUnavailable, VenueUnknown
from sleeves.keys import InvalidKey, KeyRing, KeySet, Nonces, Right, Rights, Secret
from sleeves.venues.kraken.transport import HttpxTransport, KrakenexTransport, open_transport
from venues.kraken.tiny_kraken import Said, tiny
from venues.raw_server import HANG, closed_port, raw, reply

both = pytest.mark.parametrize("backend", ["asyncio", "trio"])
ways = pytest.mark.parametrize("way", ["httpx", "krakenex"])
VAULT = "core:main:USD"
CALLS = 300


async def call(transport, ring, name="Balance", args=None):
    async with ring.use(VAULT, "kraken") as held:
        return await transport.call(held, f"/0/private/{name}", args or {})


def run(backend, way, url, story, **terms):
    async def main():
        transport = open_transport(way, url, **{"timeout": 0.5, "connect_timeout": 0.5} | terms)
        try:
            return await story(transport)
        finally:
            await transport.aclose()
            await transport.aclose()

    return anyio.run(main, backend=backend)


def a_ring(secret=None, api_key="key-of-a-test", passphrase=None):
    secret = base64.b64encode(b"secret of a test").decode() if secret is None else secret
    key = KeySet(
        "main",
        venue="kraken",
        api_key=Secret(api_key),
        secret=Secret(secret),
        rights=Rights.of("read", "trade"),
        passphrase=None if passphrase is None else Secret(passphrase),
    )
    return KeyRing([key], clock=time.time_ns, nonces=Nonces(time.time_ns))


# -- out and back ------------------------------------------------------------------------------------------------------------------


@both
@ways
def test_a_private_call_is_signed_over_what_is_sent(backend, way):
    args = {"pair": "ETHUSD", "oflags": "fciq,post", "deadline": "2026-11-20T23:40:00+00:00", "x": "a b&c=d/é"}
    with tiny({"AddOrder": {"txid": ["O"]}, "Balance": {}}) as kraken:
        ring = kraken.keys()

        async def story(transport):
            return [await call(transport, ring, "AddOrder", args), await call(transport, ring)]

        replies = run(backend, way, kraken.url, story)
    assert [answered.text for answered in replies] == ['{"error": [], "result": {"txid": ["O"]}}', '{"error": [], "result": {}}']
    sent = kraken.named("AddOrder")[0]
    assert {name: value for name, value in sent.items() if name != "nonce"} == args
    assert int(sent["nonce"]) < int(kraken.named("Balance")[0]["nonce"])
    assert args.keys() == {"pair", "oflags", "deadline", "x"}, "the caller's arguments are as they were"


@both
@ways
def test_a_public_call_is_a_get_with_a_query_and_without_a_key(backend, way):
    with raw(lambda _: reply(200, '{"error":[],"result":{}}')) as (url, requests):
        run(backend, way, url, lambda transport: transport.call(None, "/0/public/Ticker", {"pair": "ETHUSD,XBTUSD"}))
    assert requests[0].startswith(b"GET /0/public/Ticker?pair=ETHUSD%2CXBTUSD HTTP/1.1\r\n")
    assert b"api-" not in requests[0].lower()


@ways
@pytest.mark.parametrize(
    ("status", "text"), [(200, "<html>"), (520, "<html>"), (302, ""), (404, '{"error":[]}'), (200, '{"error":["EAPI:Invalid key"]}')]
)
def test_whatever_is_answered_is_a_reply_and_nothing_is_followed(way, status, text):
    if (way, status) == ("krakenex", 302):
        pytest.skip("krakenex gives a redirect away as an error: see below")
    ring = a_ring()
    with raw(lambda _: reply(status, text, headers=["Location: /elsewhere"])) as (url, requests):
        answered = run("asyncio", way, url, lambda transport: call(transport, ring))
        public = run("asyncio", way, url, lambda transport: transport.call(None, "/0/public/Time", {}))
    assert (answered.status, answered.text) == (public.status, public.text) == (status, text)
    assert len(requests) == 2


def test_krakenex_does_not_carry_the_key_to_where_it_is_redirected():
    ring = a_ring()
    with raw(lambda _: reply(302, "", headers=["Location: /elsewhere"])) as (url, requests), pytest.raises(VenueUnknown):
        run("asyncio", "krakenex", url, lambda transport: call(transport, ring))
    assert len(requests) == 1


@ways
def test_no_proxy_is_taken_from_the_environment(way, monkeypatch):
    """A key goes where it was told to go, not where a variable says."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, closed_port())
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with raw(lambda _: reply(200, "{}")) as (url, requests):
        run("asyncio", way, url, lambda transport: call(transport, a_ring()))
    assert len(requests) == 1


@ways
def test_a_password_of_two_factors_goes_along(way):
    with tiny({"Balance": {}}) as kraken:
        key = KeySet(
            "main",
            venue="kraken",
            api_key=Secret(kraken.api_key),
            secret=Secret(kraken.secret),
            rights=Rights.of("read"),
            passphrase=Secret("static one/+"),
        )
        ring = KeyRing([key], clock=time.time_ns, nonces=Nonces(time.time_ns))

        async def story(transport):
            async with ring.use(VAULT, "kraken", right="read") as held:
                return await transport.call(held, "/0/private/Balance", {})

        answered = run("asyncio", way, kraken.url, story)
    assert answered.json() == {"error": [], "result": {}}
    assert kraken.named("Balance")[0]["otp"] == "static one/+"


# -- the order of nonces -----------------------------------------------------------------------------------------------------------


@both
@ways
def test_300_calls_at_once_and_not_one_nonce_is_refused(backend, way):
    """Each call arrives up to 2 ms late, and its answer again: without a key's turn about half of the nonces are refused."""

    async def story(transport, ring):
        replies = []

        async def one():
            replies.append(await call(transport, ring))

        async with anyio.create_task_group() as tasks:
            for _ in range(CALLS):
                tasks.start_soon(one)
        return replies

    with tiny({"Balance": {"ZUSD": "1.0000"}}, jitter=0.002) as kraken:
        replies = run(backend, way, kraken.url, partial(story, ring=kraken.keys()), timeout=20)
    assert len(replies) == CALLS == len(kraken.calls)
    assert kraken.refused == []
    assert all('"ZUSD": "1.0000"' in answered.text for answered in replies)
    assert kraken.most_flying == 1


def test_the_jitter_is_worth_the_test():
    """The same without turns: the server of these tests refuses what overtakes."""
    with tiny({"Balance": {}}, jitter=0.02) as kraken:
        transport, ring = HttpxTransport(kraken.url), kraken.keys()

        class NoTurn:
            def __init__(self, held):
                self.held = held

            def __getattr__(self, name):
                return getattr(self.held, name)

            def turn(self):
                from contextlib import asynccontextmanager

                @asynccontextmanager
                async def at_once():
                    yield self.held.nonce()

                return at_once()

        async def one():
            async with ring.use(VAULT, "kraken") as held:
                await transport.call(NoTurn(held), "/0/private/Balance", {})

        async def main():
            async with anyio.create_task_group() as tasks:
                for _ in range(30):
                    tasks.start_soon(one)
            await transport.aclose()

        anyio.run(main)
    assert len(kraken.refused) > 5


@both
@ways
def test_who_is_cancelled_leaves_no_call_behind_that_another_one_overtakes(backend, way):
    """From the nonce on a call has its answer before the key's next one goes out, and its caller has it too: no order is lost so."""

    async def story(transport, ring, kraken):
        with anyio.move_on_after(0.05) as scope:
            answered = await call(transport, ring, "AddOrder")
        assert scope.cancel_called
        assert (answered.text, kraken.flying) == ('{"error": []}', 0)
        await call(transport, ring)
        return True

    with tiny({"AddOrder": Said(pause=0.2), "Balance": {}}) as kraken:
        assert run(backend, way, kraken.url, partial(story, ring=kraken.keys(), kraken=kraken), timeout=5)
    assert [name for name, _ in kraken.calls] == ["AddOrder", "Balance"]
    assert kraken.refused == []


@both
@ways
def test_who_is_cancelled_while_waiting_for_a_turn_has_sent_nothing(backend, way):
    async def story(transport, ring):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call, transport, ring, "Slow")
            await anyio.sleep(0.05)
            with anyio.move_on_after(0.05) as scope:
                await call(transport, ring, "AddOrder")
            assert scope.cancelled_caught

    with tiny({"Slow": Said(pause=0.3), "AddOrder": {}}) as kraken:
        run(backend, way, kraken.url, partial(story, ring=kraken.keys()), timeout=5)
    assert [name for name, _ in kraken.calls] == ["Slow"]


@both
def test_two_keys_do_not_wait_for_each_other(backend):
    async def story(transport, ring):
        start = anyio.current_time()
        async with anyio.create_task_group() as tasks:
            for vault in ("core:one:USD", "core:two:USD"):
                tasks.start_soon(slow, transport, ring, vault)
        return anyio.current_time() - start

    async def slow(transport, ring, vault):
        async with ring.use(vault, "kraken") as held:
            await transport.call(held, "/0/private/Slow", {})

    other = KeySet("two", venue="kraken", api_key=Secret("another key"), secret=Secret("AAAA"), rights=Rights.of("read", "trade"))
    for way in ("httpx", "krakenex"):
        with raw(lambda _: [0.8, reply(200, "{}")]) as (url, _):
            first = KeySet("one", venue="kraken", api_key=Secret("one key"), secret=Secret("AAAA"), rights=Rights.of("read", "trade"))
            ring = KeyRing([first, other], clock=time.time_ns, nonces=Nonces(time.time_ns))
            assert 0.8 <= run(backend, way, url, partial(story, ring=ring), timeout=5) < 1.6


@both
@ways
def test_an_order_overtakes_the_questions_that_wait_and_is_written_in_its_turn(backend, way):
    """Its arguments are made when nothing else is under way: a deadline in them begins then."""
    made = []

    async def story(transport, ring, kraken):
        def args():
            made.append((len(kraken.calls), kraken.flying))
            return {"deadline": "now"}

        async def one(name, right, args):
            async with ring.use(VAULT, "kraken", right=right) as held:
                await transport.call(held, f"/0/private/{name}", args)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one, "Slow", Right.READ, {})
            await anyio.sleep(0.1)
            for _ in range(3):
                tasks.start_soon(one, "Balance", Right.READ, {})
            await anyio.sleep(0.02)
            tasks.start_soon(one, "AddOrder", Right.TRADE, args)
            await anyio.sleep(0.02)
            assert made == []

    with tiny({"Slow": Said(pause=0.4), "AddOrder": {}, "Balance": {}}) as kraken:
        run(backend, way, kraken.url, partial(story, ring=kraken.keys(), kraken=kraken), timeout=5)
    assert [name for name, _ in kraken.calls] == ["Slow", "AddOrder", "Balance", "Balance", "Balance"]
    assert made == [(1, 0)] and kraken.refused == [] and kraken.named("AddOrder")[0]["deadline"] == "now"


@both
@ways
def test_what_says_in_its_turn_that_it_is_too_late_sends_nothing(backend, way):
    async def story(transport, ring):
        def too_late():
            raise VenueUnavailable("the deadline is over")

        with pytest.raises(VenueUnavailable, match="the deadline is over"):
            async with ring.use(VAULT, "kraken") as held:
                await transport.call(held, "/0/private/AddOrder", too_late)
        with pytest.raises(InvalidMarket):
            async with ring.use(VAULT, "kraken") as held:
                await transport.call(held, "/0/private/AddOrder", lambda: {"volume": 5})
        await call(transport, ring)

    with tiny({"AddOrder": {}, "Balance": {}}) as kraken:
        run(backend, way, kraken.url, partial(story, ring=kraken.keys()))
    assert [name for name, _ in kraken.calls] == ["Balance"] and kraken.refused == []


# -- what is lost ------------------------------------------------------------------------------------------------------------------

LOST = {
    "no answer": lambda _: HANG,
    "cut before the answer": lambda _: b"",
    "cut in the body": lambda _: reply(200, '{"a"', length=50),
    "no http": lambda _: b"SSH-2.0-x\r\n\r\n",
    "no text": lambda _: reply(200, b"\xff\xfe\x00"),
}


@ways
@both
@pytest.mark.parametrize("how", LOST)
def test_what_was_sent_may_have_been_done_and_is_not_sent_again(backend, way, how):
    with raw(LOST[how]) as (url, requests), pytest.raises(VenueUnknown, match="it was sent, and may have been done"):
        run(backend, way, url, lambda transport: call(transport, a_ring(), "AddOrder"))
    assert len(requests) == 1


@ways
@both
def test_where_nobody_listens_nothing_was_sent(backend, way):
    with pytest.raises(VenueUnavailable, match="nothing was sent"):
        run(backend, way, closed_port(), lambda transport: call(transport, a_ring(), "AddOrder"))
    with pytest.raises(VenueUnavailable, match="nothing was sent"):
        run(backend, way, closed_port(), lambda transport: transport.call(None, "/0/public/Time", {}))


@ways
def test_a_secret_that_is_none_sends_nothing(way):
    with raw(lambda _: reply()) as (url, requests), pytest.raises(InvalidKey, match="is not base64"):
        run("asyncio", way, url, lambda transport: call(transport, a_ring(secret="not base64!")))
    assert requests == []


@ways
def test_a_key_that_cannot_be_written_sends_nothing(way):
    with raw(lambda _: reply()) as (url, requests), pytest.raises(VenueUnavailable, match="cannot be written as HTTP; nothing was sent"):
        run("asyncio", way, url, lambda transport: call(transport, a_ring(api_key="schlüssel€")))
    assert requests == []


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n"
DRIPS = {
    "the head": [HEAD, *[part for n in range(40) for part in (b"X: %d\r\n" % n, 0.1)]],
    "the body": [HEAD + b"\r\n", *[b" ", 0.1] * 40],
    "the body, and no more after it": [HEAD + b"Connection: close\r\n\r\n", *[b" ", 0.1] * 40],
}


@ways
@both
@pytest.mark.parametrize("what", DRIPS)
def test_an_answer_that_drips_is_given_up_and_the_keys_turn_is_the_next_ones(backend, way, what):
    """Each wait is a short one, and the whole has an end all the same; what is asked next is answered over a new connection."""
    said = []

    def answer(request):
        said.append(request.split(b" ", 2)[1])
        return DRIPS[what] if len(said) == 1 else reply(200, "{}")

    async def story(transport):
        ring, start = a_ring(), time.monotonic()

        async def lost():
            with pytest.raises(VenueUnknown, match=r"no whole answer within 0\.6 s; it was sent, and may have been done"):
                await call(transport, ring, "AddOrder")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lost)
            await anyio.sleep(0.1)
            answered = await call(transport, ring)
        return answered.status, time.monotonic() - start

    with raw(answer) as (url, _):
        status, took = run(backend, way, url, story, timeout=0.3, connect_timeout=0.3)
    assert status == 200 and 0.5 < took < 2
    assert said == [b"/0/private/AddOrder", b"/0/private/Balance"]


@both
def test_a_public_answer_that_drips_is_given_up_too(backend):
    with raw(lambda _: DRIPS["the body"]) as (url, _), pytest.raises(VenueUnknown, match="no whole answer within"):
        run(backend, "krakenex", url, lambda one: one.call(None, "/0/public/Time", {}), timeout=0.3, connect_timeout=0.3)


# -- what is refused before it is sent --------------------------------------------------------------------------------------------


@ways
@pytest.mark.parametrize("args", [{"a": 5}, {"a": None}, {"a": ["b"]}, {"a": 1e-7}, {"a": True}, {5: "a"}, {"nonce": "5"}, {"otp": "5"}])
def test_arguments_are_text_and_not_the_keys(way, args):
    """Trap 3 of the reference: a list or None is signed in one way and sent in another, and 0.0000001 goes out as 1e-07."""
    with raw(lambda _: reply()) as (url, requests), pytest.raises(InvalidMarket):
        run("asyncio", way, url, lambda transport: call(transport, a_ring(), "AddOrder", args))
    assert requests == []


@pytest.mark.parametrize("which", ["requests", "", "HTTPX"])
def test_there_is_no_other_transport(which):
    with pytest.raises(InvalidMarket, match="is none of httpx, krakenex"):
        open_transport(which, "http://x", timeout=1, connect_timeout=1)


def test_a_transport_of_ones_own_is_taken_as_it_is():
    mine = HttpxTransport("http://x")
    assert open_transport(mine, "http://y", timeout=1, connect_timeout=1) is mine


# -- krakenex, its traps (reference, 1.8) -------------------------------------------------------------------------------------------


def test_krakenex_keeps_neither_key_nor_secret_nor_the_last_request():
    sentinel, key = Sentinel(4, signs=""), Sentinel(5, signs="")
    with tiny({"Balance": {}}, api_key=key.value, secret=base64.b64encode(sentinel.value.encode()).decode()) as kraken:
        transport = KrakenexTransport(kraken.url)

        async def main():
            answered = await call(transport, kraken.keys())
            apis = [api for api, _ in transport._apis.values()]
            assert len(apis) == 1
            seen = [str({**vars(api), "session": dict(api.session.headers)}) for api in apis]
            assert [(api.key, api.secret, api.response) for api in apis] == [("", "", None)]
            await transport.aclose()
            return answered, seen

        answered, seen = anyio.run(main)
    assert answered.status == 200
    assert sentinel.found(*seen) == [] and key.found(*seen) == []


def test_two_calls_in_one_millisecond_have_two_nonces():
    """Trap 1: krakenex would take the clock's."""
    with tiny({"Balance": {}}) as kraken:
        ring = kraken.keys(clock=lambda: 1_790_000_000_000_000_000)

        async def story(transport):
            return [await call(transport, ring) for _ in range(5)]

        run("asyncio", "krakenex", kraken.url, story)
    assert [int(args["nonce"]) for args in kraken.named("Balance")] == [1_790_000_000_000 + n for n in range(5)]


# -- secrets -------------------------------------------------------------------------------------------------------------------------


@ways
@both
@pytest.mark.parametrize("how", [*LOST, "nobody listens", "answered"])
def test_no_value_of_a_key_is_in_an_error_or_a_log(backend, way, how, caplog):
    caplog.set_level(logging.DEBUG)
    api_key, secret, password = Sentinel(1), Sentinel(2, signs=""), Sentinel(3)
    ring = a_ring(base64.b64encode(secret.value.encode()).decode(), api_key.value, password.value)
    said = []

    async def story(transport):
        try:
            await call(transport, ring, "AddOrder", {"pair": "ETHUSD"})
        except (VenueUnavailable, VenueUnknown) as error:
            said.append(error)

    if how == "nobody listens":
        run(backend, way, closed_port(), story)
    else:
        with raw(LOST.get(how, lambda _: reply(200, "{}"))) as (url, _):
            run(backend, way, url, story)
    assert len(said) == (0 if how == "answered" else 1)
    for sentinel in (api_key, secret, password):
        assert sentinel.found(caplog.text, *[str(vars(record)) for record in caplog.records], *said) == []
    assert caplog.records, "the libraries log, and it was looked at"
