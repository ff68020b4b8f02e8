"""One connection to a WebSocket, against servers that answer well, badly, or not at all; and the line of what is to be told."""

from __future__ import annotations

import json
import traceback
from contextlib import asynccontextmanager
from decimal import Decimal

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.sentinel import Sentinel
from sleeves import BTC, ETH, USD, Instrument
from sleeves.errors import InvalidMarket, VenueUnavailable
from sleeves.market import Quote
from sleeves.orders import Canceled
from sleeves.testing.serving import serve
from sleeves.venues.kraken.outbox import Outbox
from sleeves.venues.kraken.socket import converse, only_error, socket_url

pytestmark = pytest.mark.anyio
ether = Instrument("ETH/USD", base=ETH, quote=USD)
bitcoin = Instrument("BTC/USD", base=BTC, quote=USD)


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request):
    return request.param


class Server:
    """Answers each message with what `answer` says: texts to send, None to say nothing, an int to close with that code."""

    def __init__(self, answer, greeting=()):
        self.answer, self.greeting, self.heard = answer, greeting, []

    async def __call__(self, scope, receive, send):
        if scope["type"] != "websocket":
            await self._live(receive, send)
            return
        await receive()
        if self.greeting is None:
            await send({"type": "websocket.close", "code": 1008})
            return
        await send({"type": "websocket.accept"})
        for text in self.greeting:
            await send({"type": "websocket.send", "text": text})
        while (message := await receive())["type"] == "websocket.receive":
            self.heard.append(json.loads(message["text"]))
            for said in self.answer(self.heard[-1]):
                if isinstance(said, int):
                    await send({"type": "websocket.close", "code": said})
                    return
                await send({"type": "websocket.send", "text": said})

    @staticmethod
    async def _live(receive, send):
        while True:
            kind = (await receive())["type"]
            await send({"type": f"{kind}.complete"})
            if kind == "lifespan.shutdown":
                return


def pong(message):
    return [json.dumps({"method": "pong", "req_id": message["req_id"]})] if message["method"] == "ping" else []


@asynccontextmanager
async def served(server):
    context = serve(server)
    url = await anyio.to_thread.run_sync(context.__enter__)
    try:
        yield url.replace("http", "ws", 1) + "/v2"
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(context.__exit__, None, None, None)


async def talk(server, then, **terms):
    """Converse with a server: read in a task of its own, and do `then`; returns what came on channels."""
    came = []

    async def take(message):
        came.append(message)

    async def converses(socket):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(socket.read, take)
            await then(socket)
            tasks.cancel_scope.cancel()

    async with served(server) as url:
        with anyio.fail_after(10):
            await converse(url, converses, **({"quiet": 5.0, "patience": 2.0} | terms))
    return came


async def test_requests_find_their_answers_and_channels_their_reader_in_order():
    def answer(message):
        if message["method"] == "subscribe":
            rows = [{"channel": "ticker", "data": [{"bid": 1.10, "n": n}]} for n in range(3)]
            lines = [json.dumps(row) for row in rows]
            return [lines[0], json.dumps({"method": "subscribe", "success": True, "req_id": message["req_id"]}), *lines[1:]]
        return pong(message)

    async def then(socket):
        said = await socket.ask("subscribe", {"channel": "ticker"})
        assert said["success"] is True
        await socket.ping()

    server = Server(answer, ['{"channel": "status", "data": []}'])
    came = await talk(server, then)
    assert [message["channel"] for message in came] == ["status", "ticker", "ticker", "ticker"]
    assert [message["data"][0]["n"] for message in came[1:]] == [0, 1, 2] and came[1]["data"][0]["bid"] == Decimal("1.1")
    assert server.heard[0] == {"method": "subscribe", "req_id": 1, "params": {"channel": "ticker"}}


NO_ANSWERS = {
    "refused": lambda message: [
        json.dumps({"method": "subscribe", "success": False, "error": "EGeneral:Internal error", "req_id": message["req_id"]})
    ],
    "silent": lambda message: [],
    "closed": lambda message: [1011],
    "lost before": lambda message: [],
}


@pytest.mark.parametrize("how", NO_ANSWERS)
async def test_no_token_is_in_the_traceback_of_what_was_refused(how):
    sentinel, server, told = Sentinel(8), Server(NO_ANSWERS[how]), []

    async def then(socket):
        if how == "lost before":
            socket.fail(VenueUnavailable("lost"))
        await socket.ask("subscribe", {"channel": "executions", "token": sentinel.value})

    try:
        await talk(server, then, patience=0.2)
    except VenueUnavailable as error:
        told.append("".join(traceback.TracebackException.from_exception(error, capture_locals=True).format()))
    except ExceptionGroup as group:
        told.append("".join(traceback.TracebackException.from_exception(only_error(group), capture_locals=True).format()))
    assert len(told) == 1 and "in ask" in told[0] and sentinel.found(*told) == []
    assert how == "lost before" or server.heard[0]["params"]["token"] == sentinel.value


async def test_answers_in_another_order_and_a_pong_without_a_number():
    waiting, found = [], {}

    def answer(message):
        if message["method"] == "ping":
            return ['{"method": "pong"}']
        waiting.append(message)
        if len(waiting) < 3:
            return []
        return [json.dumps({"method": "subscribe", "req_id": one["req_id"], "result": one["params"]}) for one in reversed(waiting)]

    async def then(socket):
        async def ask(number):
            found[number] = (await socket.ask("subscribe", {"n": number}))["result"]["n"]

        async with anyio.create_task_group() as tasks:
            for number in (7, 8, 9):
                tasks.start_soon(ask, number)
        await socket.ping()

    await talk(Server(answer), then)
    assert found == {7: 7, 8: 8, 9: 9}


REFUSALS = (
    '{"method": "subscribe", "success": false, "error": "Currency pair not supported", "req_id": 1}',
    '{"method": "subscribe", "error": "ESession:Invalid session", "req_id": 1}',
)


@pytest.mark.parametrize("refusal", REFUSALS)
async def test_a_request_that_is_refused(refusal):
    async def then(socket):
        with pytest.raises(VenueUnavailable, match="refused to subscribe"):
            await socket.ask("subscribe")

    await talk(Server(lambda message: [refusal]), then)


async def test_a_request_that_is_not_answered_in_time():
    async def then(socket):
        with pytest.raises(VenueUnavailable, match="no answer to subscribe"):
            await socket.ask("subscribe", within=0.1)
        await socket.ping()

    await talk(Server(pong), then)


@pytest.mark.parametrize("text", ["", "no json", "[1, 2]", "7", '{"a": 1, "a": 2}', '{"a": NaN}', '{"a": 1e' + "9" * 300 + "}", '{"cut": '])
async def test_a_message_that_cannot_be_read_ends_the_connection(text):
    with pytest.raises(VenueUnavailable, match="no JSON object"):
        await talk(Server(pong, [text]), lambda socket: anyio.sleep(5))


@pytest.mark.parametrize("code", [1000, 1001, 1011, 1013])
async def test_a_connection_that_the_other_side_closes(code):
    async def then(socket):
        await socket.ask("subscribe")

    with pytest.raises(VenueUnavailable):
        await talk(Server(lambda message: [code]), then)


async def test_silence_is_asked_after_and_then_it_is_a_loss():
    with pytest.raises(VenueUnavailable, match="nothing was heard"):
        await talk(Server(lambda message: []), lambda socket: anyio.sleep(5), quiet=0.1)
    server = Server(pong)
    await talk(server, lambda socket: anyio.sleep(0.5), quiet=0.1)  # who answers pings is there
    assert len(server.heard) >= 2


async def test_nobody_there_and_a_door_that_stays_shut():
    with pytest.raises(VenueUnavailable, match="no connection"):
        await converse("ws://127.0.0.1:9", lambda socket: anyio.sleep(1))
    with pytest.raises(VenueUnavailable, match="403"):
        await talk(Server(pong, None), lambda socket: anyio.sleep(1))


async def test_what_the_talk_raises_is_raised_as_it_is():
    async def then(socket):
        raise RuntimeError("ours")

    with pytest.raises(RuntimeError, match="ours"):
        await talk(Server(pong), then)


async def test_what_is_asked_of_a_connection_that_is_over():
    kept = []

    async def then(socket):
        kept.append(socket)

    await talk(Server(pong), then)
    with pytest.raises(VenueUnavailable):
        await kept[0].ask("ping")
    assert kept[0].lost


@pytest.mark.parametrize("url", [None, 7, "", "http://x/v2", "wss://", "ws://user@x/v2", "x"])
async def test_an_address_that_is_none(url):
    with pytest.raises(InvalidMarket, match="socket_url"):
        socket_url(url, "socket_url")


async def test_the_one_error_of_many():
    ours, lost = RuntimeError("ours"), VenueUnavailable("lost")
    assert only_error(ExceptionGroup("a", [lost, ExceptionGroup("b", [lost, ours])])) is ours
    assert only_error(ExceptionGroup("a", [lost])) is lost


# -- the line --------------------------------------------------------------------------------------------------------------------


def quote(market, price, at=0):
    return Quote(market, at, price, price)


async def test_facts_are_told_in_order_and_a_price_takes_the_place_of_the_one_that_waits():
    box = Outbox()
    for event in (quote(ether, 1), quote(bitcoin, 2), quote(ether, 3), Canceled("a-1", 4), quote(bitcoin, 5), quote(bitcoin, 6)):
        box.put(event)
    told = [await box.take() for _ in range(len(box))]
    assert told == [quote(ether, 3), Canceled("a-1", 4), quote(bitcoin, 6)]


@given(st.lists(st.tuples(st.sampled_from(["fact", ether, bitcoin, "take"]), st.integers(1, 9))))
def test_no_fact_is_lost_or_overtaken_and_the_last_price_of_a_market_is_told(puts):
    async def main():
        box, told, facts, latest, behind = Outbox(), [], [], {}, {}
        for what, price in puts:
            if what == "take":
                if len(box):
                    told.append(await box.take())
            elif what == "fact":
                facts.append(Canceled(f"a-{len(facts) + 1}", price))
                box.put(facts[-1])
            else:
                latest[what.symbol], behind[what.symbol] = quote(what, price, len(facts)), len(facts)
                box.put(latest[what.symbol])
        while len(box):
            told.append(await box.take())
        assert [event for event in told if isinstance(event, Canceled)] == facts
        seen, last = 0, {}
        for event in told:
            if isinstance(event, Canceled):
                seen += 1
            else:
                assert event.at <= seen  # no price goes ahead of a fact that was put in first
                last[event.instrument.symbol] = event
        assert last == latest

    anyio.run(main)


async def test_an_end_is_told_behind_what_waits_and_a_new_beginning_drops_old_prices():
    box = Outbox()
    box.put(Canceled("a-1", 1))
    box.put(quote(ether, 1))
    box.end(VenueUnavailable("lost"))
    assert await box.take() == Canceled("a-1", 1)
    box.begin()
    assert not len(box)
    box.end(VenueUnavailable("again"))
    with pytest.raises(VenueUnavailable, match="again"):
        await box.take()


async def test_who_reads_a_wire_waits_while_the_line_is_full():
    box, went_on = Outbox(most=2), []
    for number in range(3):
        box.put(Canceled(f"a-{number}", 1))

    async def reader():
        await box.room()
        went_on.append(len(box))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(reader)
        for left in (2, 1):
            await anyio.sleep(0.01)
            assert not went_on
            await box.take()
            assert len(box) == left
    assert went_on == [1]
    for most in (0, -1, True, 1.0, "2"):
        with pytest.raises(InvalidMarket):
            Outbox(most)
