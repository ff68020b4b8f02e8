"""The page's socket, over real sockets: nothing is lost, nobody is let in who should not be, and too much is hung up on."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from functools import partial, wraps

import anyio
import httpx
import pytest
from httpx_ws import WebSocketDisconnect, WebSocketUpgradeError, aconnect_ws
from stand import Page, make_desk

from sleeves.control import Control
from sleeves.dashboard import serve
from sleeves.dashboard import socket as sockets
from sleeves.dashboard.feed import Feed
from sleeves.dashboard.messages import LARGEST
from sleeves.errors import JournalError
from sleeves.live import trade

TOKEN = "t0ken-of-the-tests-and-of-nobody-else"
VAULT = "core:main:USD"
SPOKEN = ["sleeves.v1", f"sleeves.token.{TOKEN}"]


def story(test):
    @wraps(test)
    def run(*args, **kwargs):
        async def main():
            with anyio.fail_after(60):
                await test(*args, **kwargs)

        anyio.run(main)

    return run


class Served:
    def __init__(self, stand, page, client):
        self.stand, self.page, self.client = stand, page, client
        self.feed = None

    @asynccontextmanager
    async def line(self, **terms):
        terms = {"subprotocols": SPOKEN} | terms | {"headers": dict(terms.get("headers", {}))}  # httpx-ws writes into them
        async with aconnect_ws(self.page.url + "socket", self.client, keepalive_ping_interval_seconds=None, **terms) as line:
            yield Line(line)


class Line:
    """A page's end of a socket."""

    def __init__(self, line):
        self.line = line
        self.page = Page()

    async def say(self, **body):
        await self.line.send_text(json.dumps(body))

    async def hear(self):
        return json.loads(await self.line.receive_text())

    async def until(self, kind, **fields):
        """The next message of a type; pictures on the way are taken in."""
        while True:
            body = await self.hear()
            if body["type"] in ("snapshot", "delta"):
                assert self.page.take(json.dumps(body).encode()) == "ok"
            if body["type"] == kind and all(body[name] == value for name, value in fields.items()):
                return body

    async def ended(self):
        """The code that it is hung up with; what is said before is passed over."""
        try:
            while True:
                await self.line.receive()
        except WebSocketDisconnect as error:
            return error.code


@asynccontextmanager
async def served(stand=None, *, commands=True, running=False, **terms):
    """A stand behind a real socket; with `running`, its desk trades meanwhile."""
    stand = make_desk(engines=2, contracts=False) if stand is None else stand
    ready = anyio.Event()
    pages = []

    def on_ready(page):
        pages.append(page)
        ready.set()

    async with anyio.create_task_group() as tasks:
        control = Control(stand.desk, stand.venue) if commands else None
        tasks.start_soon(partial(serve, stand.desk, control=control, port=0, on_ready=on_ready, **({"token": TOKEN} | terms)))
        await ready.wait()
        if running:
            tasks.start_soon(trade, stand.desk, stand.venue)
        async with httpx.AsyncClient() as client:
            yield Served(stand, pages[0], client)
        tasks.cancel_scope.cancel()


# -- who is let in ---------------------------------------------------------------------------------------------------------

WRONG = [
    (401, {"subprotocols": ["sleeves.v1"]}),
    (401, {"subprotocols": ["sleeves.v1", "sleeves.token.wrong-wrong-wrong-wrong"]}),
    (401, {"subprotocols": ["sleeves.v1"], "headers": {"Authorization": "Bearer wrong-wrong-wrong-wrong"}}),
    (401, {"subprotocols": ["sleeves.v1"], "headers": {"Cookie": "sleeves-12345678=x"}}),
    (403, {"headers": {"Origin": "https://evil.example"}}),
    (403, {"headers": {"Origin": "null"}}),
    (403, {"headers": {"Origin": "http://127.0.0.1:1"}}),
    (421, {"headers": {"Host": "evil.example"}}),
]


@pytest.mark.parametrize(("status", "terms"), WRONG)
@story
async def test_a_socket_is_refused_to_strangers_and_foreign_pages(status, terms):
    async with served() as house:
        with pytest.raises(WebSocketUpgradeError) as raised:
            async with house.line(**terms):
                pass
        assert raised.value.response.status_code == status


@story
async def test_a_token_in_the_address_opens_no_socket():
    async with served() as house:
        with pytest.raises(WebSocketUpgradeError):
            async with aconnect_ws(house.page.url + f"socket?token={TOKEN}", house.client, subprotocols=["sleeves.v1"]):
                pass


@story
async def test_a_page_that_is_signed_in_speaks_from_its_own_origin_until_it_signs_out():
    async with served() as house:
        await house.client.get(house.page.login)
        own = {"Origin": house.page.url.rstrip("/")}
        with pytest.raises(WebSocketUpgradeError):
            async with house.line(subprotocols=["sleeves.v1"]):
                pass
        async with house.line(subprotocols=["sleeves.v1"], headers=own) as line:
            assert line.line.subprotocol == "sleeves.v1"
            await line.say(type="hello")
            await line.until("snapshot")
            await line.say(type="ping")
            await line.until("pong")
            assert (await house.client.post(house.page.url + "logout", headers=own)).status_code == 303
            await line.say(type="ping")
            assert await line.ended() == 1008


@story
async def test_a_page_that_says_nothing_is_told_nothing_more_once_it_is_signed_out():
    async with served() as house:
        await house.client.get(house.page.login)
        own = {"Origin": house.page.url.rstrip("/")}
        async with house.line(subprotocols=["sleeves.v1"], headers=own) as line:
            await line.say(type="hello")
            await line.until("snapshot")
            await house.client.post(house.page.url + "logout", headers=own)
            with anyio.fail_after(20):
                assert await line.ended() == 1008


@story
async def test_a_host_apps_sign_in_that_ends_ends_its_open_sockets_too(monkeypatch):
    monkeypatch.setattr("sleeves.dashboard.routes.ASK_AGAIN", 0.0)
    signed_in = {"ann"}
    terms = {"token": None, "authorize": lambda connection: "ann" if "ann" in signed_in else None}
    async with served(**terms) as house:
        own = {"Origin": house.page.url.rstrip("/")}
        async with house.line(subprotocols=["sleeves.v1"], headers=own) as line:
            await line.say(type="hello")
            await line.until("snapshot")
            await line.say(type="ping")
            await line.until("pong")
            signed_in.clear()
            await line.say(type="ping")
            assert await line.ended() == 1008


@story
async def test_the_subprotocol_is_named_back_and_never_the_token():
    async with served() as house, house.line() as line:
        assert line.line.subprotocol == "sleeves.v1"


# -- what is told ----------------------------------------------------------------------------------------------------------


@story
async def test_a_page_sees_all_of_a_run_in_order_and_ends_where_a_fresh_look_does():
    stand = make_desk(engines=3, contracts=True, rows=60)
    async with served(stand, running=True) as house, house.line() as line:
        await line.say(type="hello")
        await line.until("snapshot")
        seen = 0
        while stand.desk.books.now < stand.venue.exchange.tapes[0].at[-1] or seen < 3:
            await line.until("delta")
            seen += 1
        await anyio.sleep(1.0)
        await line.say(type="ping")
        await line.until("pong")
        fresh = (await house.client.get(house.page.url + "api/snapshot", headers={"Authorization": f"Bearer {TOKEN}"})).json()
        assert line.page.session == fresh["session"]
        while line.page.seq < fresh["seq"]:
            await line.until("delta")
        assert line.page.tables == fresh["tables"]
        assert line.page.streams == fresh["streams"]


@story
async def test_a_page_that_was_cut_off_is_told_what_it_missed_and_nothing_twice():
    stand = make_desk(engines=2, contracts=False)
    async with served(stand) as house:
        async with house.line() as line:
            await line.say(type="hello")
            first = await line.until("snapshot")
        stand.desk.pause(stand.sleeves["quiet"], by="ann")
        await anyio.sleep(0.2)
        stand.desk.pause(stand.sleeves["flash"], by="ann")
        async with house.line() as again:
            again.page = line.page
            await again.say(type="hello", session=first["session"], seq=first["seq"])
            await again.until("delta")
            while again.page.tables["sleeves"]["flash"]["status"] != "paused":
                await again.until("delta")
            assert again.page.tables["sleeves"]["quiet"]["status"] == "paused"
            words = [item["text"] for item in again.page.streams["log"] if "paused" in item["text"]]
            assert len(words) == 2
        async with house.line() as stranger:
            await stranger.say(type="hello", session="another", seq=3)
            assert (await stranger.hear())["type"] == "snapshot"


@story
async def test_a_page_that_missed_nothing_hears_at_once_that_it_is_up_to_date():
    async with served() as house:
        async with house.line() as line:
            await line.say(type="hello")
            first = await line.until("snapshot")
        async with house.line() as line:
            await line.say(type="hello", session=first["session"], seq=first["seq"])
            assert (await line.hear())["type"] == "pong"


@story
async def test_a_feed_that_its_owner_runs_is_told_all_the_same():
    stand = make_desk(engines=2, contracts=False)
    feed = Feed(stand.desk)
    async with feed.running(), served(stand, feed=feed) as house, house.line() as line:
        await line.say(type="hello")
        await line.until("snapshot")
        stand.desk.pause(stand.sleeves["quiet"], by="ann")
        while line.page.tables["sleeves"]["quiet"]["status"] != "paused":
            await line.until("delta")


@story
async def test_resync_and_a_second_hello_tell_all_of_it_anew():
    async with served() as house, house.line() as line:
        await line.say(type="hello")
        await line.until("snapshot")
        await line.say(type="resync")
        await line.until("snapshot")
        await line.say(type="hello")
        await line.until("snapshot")


@story
async def test_a_page_that_asks_on_and_on_is_told_all_of_it_now_and_then():
    stand = make_desk(engines=2, contracts=False)
    feed = Feed(stand.desk, commands=True)
    written, write = [], feed.written
    feed.written = lambda: (written.append(stand.play(1)), write())[1]
    async with served(stand, feed=feed) as house, house.line() as line:
        since = anyio.current_time()
        await line.say(type="hello")
        await line.until("snapshot")
        for _ in range(30):
            await line.say(type="resync")
            await anyio.sleep(0.02)
        await line.until("snapshot")
        assert len(written) <= 2 + (anyio.current_time() - since) / sockets.WHOLE_EVERY
        await line.say(type="resync")
        await line.until("snapshot")
        stand.desk.pause(stand.sleeves["quiet"], by="ann")
        while line.page.tables["sleeves"]["quiet"]["status"] != "paused":
            await line.until("delta")


@story
async def test_all_who_ask_meanwhile_are_told_together():
    rounds, seen = sockets.Rounds(), []

    async def one():
        await rounds.turn()
        seen.append(rounds._next)

    await one()
    async with anyio.create_task_group() as tasks:
        for _ in range(100):
            tasks.start_soon(one)
    assert len(seen) == 101
    assert len(set(seen)) == 2, "one at once, and all others in the round behind it"
    assert seen[-1] >= seen[0] + sockets.ROUND


@pytest.mark.slow
@story
async def test_a_hundred_pages_cost_one_writing_of_each_change():
    stand = make_desk(engines=2, contracts=False)
    feed = Feed(stand.desk, commands=True)
    written = []
    async with served(stand, feed=feed) as house:
        from sleeves.dashboard import feed as feeds

        def counted(message, write=feeds.to_json):
            written.append(type(message).__name__)
            return write(message)

        feeds.to_json, plain_write = counted, feeds.to_json
        try:
            async with httpx.AsyncClient(limits=httpx.Limits(max_connections=200)) as client:
                house.client = client
                lines = []
                got = []

                async def one():
                    async with house.line() as line:
                        lines.append(line)
                        await line.say(type="hello")
                        await line.until("snapshot")
                        while line.page.tables["sleeves"]["quiet"]["status"] != "paused":
                            await line.until("delta")
                        got.append(line.page.seq)

                async with anyio.create_task_group() as tasks:
                    for _ in range(100):
                        tasks.start_soon(one)
                    while feed.subscribers < 100:
                        await anyio.sleep(0.02)
                    await anyio.sleep(0.3)
                    written.clear()
                    stand.desk.pause(stand.sleeves["quiet"], by="ann")
                assert len(got) == 100
                assert written.count("Delta") <= 3, written
                assert written.count("Snapshot") <= 1, written
        finally:
            feeds.to_json = plain_write


# -- what is said ----------------------------------------------------------------------------------------------------------


@story
async def test_a_deposit_over_the_socket_is_previewed_done_and_told_to_its_end():
    stand = make_desk(engines=2, contracts=False, rows=2_000)
    stand.venue.pace = 0.005
    terms = {"what": "deposit", "id": "d-1", "vault": VAULT, "amount": "100"}
    async with served(stand, running=True) as house, house.line() as line:
        await line.say(type="hello")
        await line.until("snapshot")
        await line.say(type="do", instruction=terms)
        assert (await line.until("refused"))["code"] == "needs_ticket"
        await line.say(type="preview", instruction=terms)
        seen = await line.until("preview", id="d-1")
        assert seen["ok"]
        await line.say(type="do", instruction=terms, ticket=seen["ticket"])
        answer = await line.until("answer", id="d-1")
        assert answer["ok"]
        if answer["open"]:
            answer = await line.until("answer", id="d-1", open=False)
        assert answer["code"] == "confirmed"
        await line.say(type="ask", id="d-1")
        assert (await line.until("answer", id="d-1"))["code"] == "confirmed"
        await line.say(type="ask", id="d-2")
        assert (await line.until("refused"))["id"] == "d-2"
        while float(line.page.tables["vaults"][VAULT]["total"]) < float(seen["after"]["total"].split()[0]) - 1_000:
            await line.until("delta")


@story
async def test_a_page_that_only_shows_refuses_over_the_socket_too():
    async with served(commands=False) as house, house.line() as line:
        count = len(house.stand.desk.books.journal)
        await line.say(type="hello")
        assert (await line.until("snapshot"))["commands"] is False
        kill = {"what": "kill", "id": "k", "target": "desk:main", "flatten": True}
        for kind in ("preview", "do"):
            await line.say(type=kind, instruction=kill)
            assert (await line.until("refused"))["code"] == "read_only"
        await line.say(type="ask", id="k")
        assert (await line.until("refused"))["code"] == "read_only"
        assert len(house.stand.desk.books.journal) == count


@story
async def test_a_ticket_of_another_visitor_is_no_good():
    async with served(make_desk(engines=2, contracts=False)) as house:
        await house.client.get(house.page.login)
        own = {"Origin": house.page.url.rstrip("/")}
        terms = {"what": "set_tradeable", "id": "t-1", "vault": VAULT, "amount": "9000"}
        async with house.line() as program, house.line(subprotocols=["sleeves.v1"], headers=own) as browser:
            for line in (program, browser):
                await line.say(type="hello")
                await line.until("snapshot")
            await program.say(type="preview", instruction=terms)
            ticket = (await program.until("preview"))["ticket"]
            await browser.say(type="do", instruction=terms, ticket=ticket)
            assert (await browser.until("refused"))["code"] == "ticket_mismatch"
            await program.say(type="do", instruction=terms, ticket=ticket)
            assert (await program.until("answer"))["ok"]


NO_MESSAGES = ["", "{", "[]", "null", '{"type":"do"}', '{"type":"snapshot"}']
NO_MESSAGES += ['{"type":"do","instruction":{"what":"x"}}', '{"type":"preview","instruction":7}']


@pytest.mark.parametrize("text", NO_MESSAGES)
@story
async def test_what_is_no_message_is_refused_and_the_line_goes_on(text):
    async with served() as house, house.line() as line:
        count = len(house.stand.desk.books.journal)
        await line.say(type="hello")
        await line.until("snapshot")
        await line.line.send_text(text)
        assert (await line.until("refused"))["code"] in ("bad_message", "bad_instruction")
        await line.line.send_bytes(b"\xff\x00\xfe")
        assert (await line.until("refused"))["code"] == "bad_message"
        await line.say(type="ping")
        await line.until("pong")
        assert len(house.stand.desk.books.journal) == count


@story
async def test_a_first_message_that_is_no_hello_ends_the_line():
    async with served() as house:
        for first in ('{"type":"ping"}', "nonsense"):
            async with house.line() as line:
                await line.line.send_text(first)
                assert await line.ended() == 1002


@story
async def test_a_page_that_says_nothing_is_let_go(monkeypatch):
    monkeypatch.setattr(sockets, "HELLO_WITHIN", 0.2)
    monkeypatch.setattr(sockets, "SILENT", 0.5)
    async with served() as house:
        async with house.line() as line:
            assert await line.ended() == 1002
        async with house.line() as line:
            await line.say(type="hello")
            await line.until("snapshot")
            assert await line.ended() == 1000


@story
async def test_a_message_that_is_too_large_ends_the_line():
    async with served() as house, house.line() as line:
        await line.say(type="hello")
        await line.until("snapshot")
        await line.line.send_text("x" * (LARGEST + 1))
        assert (await line.until("refused"))["code"] == "too_large"
        assert await line.ended() == 1009
    async with served() as house, house.line() as line:
        await line.say(type="hello")
        await line.until("snapshot")
        await line.line.send_text("x" * 1_000_000)
        assert await line.ended() == 1009


@story
async def test_two_hundred_messages_a_second_are_too_many_and_others_do_not_suffer():
    async with served() as house, house.line() as line, house.line() as other:
        for one in (line, other):
            await one.say(type="hello")
            await one.until("snapshot")
        for _ in range(200):
            await line.say(type="ping")
        assert (await line.until("refused"))["code"] == "too_fast"
        await other.say(type="ping")
        await other.until("pong")
        pause = {"what": "pause", "id": "flood", "target": "quiet"}
        for _ in range(60):
            await line.say(type="do", instruction=pause)
        refused = await line.until("refused", id="flood")
        assert refused["code"] == "too_fast"


@story
async def test_who_floods_without_end_is_hung_up_on():
    async with served() as house, house.line() as line:
        await line.say(type="hello")
        await line.until("snapshot")
        async with anyio.create_task_group() as tasks:

            async def flood():
                try:
                    for _ in range(5_000):
                        await line.say(type="ping")
                except Exception:
                    return

            tasks.start_soon(flood)
            assert await line.ended() == 1008
            tasks.cancel_scope.cancel()


@story
async def test_an_instruction_is_carried_out_though_its_page_hangs_up_at_once():
    async with served() as house:
        async with house.line() as line:
            await line.say(type="hello")
            await line.until("snapshot")
            await line.say(type="do", instruction={"what": "kill", "id": "k-1", "target": "desk:main", "flatten": False})
        headers = {"Authorization": f"Bearer {TOKEN}"}
        while (answer := await house.client.get(house.page.url + "api/instructions/k-1", headers=headers)).status_code == 404:
            await anyio.sleep(0.02)
        assert answer.json()["code"] == "done"
        assert house.stand.desk.status == "halted"


@story
async def test_a_journal_that_fails_ends_the_line_and_not_the_page():
    stand = make_desk(engines=2, contracts=False)
    async with served(stand) as house, house.line() as line:
        await line.say(type="hello")
        await line.until("snapshot")

        def broken(*records):
            raise JournalError("disk full at /somewhere/private")

        stand.desk.books.journal.append = broken
        await line.say(type="do", instruction={"what": "pause", "id": "p-1", "target": "quiet"})
        assert await line.ended() == 1011
        assert (await house.client.get(house.page.url + "login")).status_code == 200


# -- the end ---------------------------------------------------------------------------------------------------------------


@story
async def test_pages_are_told_when_the_server_ends():
    codes = []
    async with anyio.create_task_group() as tasks, httpx.AsyncClient() as client, served() as house:
        house.client = client
        heard = anyio.Event()

        async def page():
            async with house.line() as line:
                await line.say(type="hello")
                await line.until("snapshot")
                heard.set()
                codes.append(await line.ended())

        tasks.start_soon(page)
        await heard.wait()
    assert codes == [1012]


@story
async def test_a_feed_that_is_closed_ends_its_lines():
    stand = make_desk(engines=2, contracts=False)
    feed = Feed(stand.desk)
    async with served(stand, feed=feed) as house, house.line() as line:
        await line.say(type="hello")
        await line.until("snapshot")
        feed.close()
        assert await line.ended() == 1000
