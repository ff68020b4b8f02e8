"""Serving the page beside a run: where it listens, how it ends, and the command that shows the demo."""

from __future__ import annotations

import logging
import re
import signal
import socket
import subprocess
import sys
from functools import partial

import anyio
import httpx
import pytest
from stand import make_desk

from sleeves.cli import main
from sleeves.dashboard import serve
from sleeves.dashboard.demo import TITLE, market
from sleeves.dashboard.feed import Feed
from sleeves.dashboard.serve import Served
from sleeves.errors import VaultError
from sleeves.keys import Secret
from sleeves.live import trade
from sleeves.records import Marked

serving = sys.modules["sleeves.dashboard.serve"]
"""The module, which the function of its name hides."""
TOKEN = "t0ken-of-the-tests-and-of-nobody-else"


def run(story):
    async def bounded():
        with anyio.fail_after(60):
            await story()

    anyio.run(bounded)


def test_it_serves_until_it_is_canceled_and_leaves_nothing_behind(caplog):
    caplog.set_level(logging.DEBUG)
    stand = make_desk(engines=2, contracts=False)
    before, during, ports = [], [], []

    async def story():
        ready = anyio.Event()
        pages = []
        before.extend(signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(serve, stand.desk, port=0, token=TOKEN, on_ready=lambda page: (pages.append(page), ready.set())))
            await ready.wait()
            during.extend(signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM))
            page = pages[0]
            ports.append(int(re.fullmatch(r"http://127\.0\.0\.1:(\d+)/", page.url)[1]))
            async with httpx.AsyncClient() as client:
                signed = await client.get(page.login)
                assert signed.status_code == 200
                assert (await client.get(page.url)).status_code == 200
            assert TOKEN in page.login
            assert TOKEN not in repr(page) + str(page)
            tasks.cancel_scope.cancel()

    run(story)
    assert during == before, "the run's signals are its own"
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", ports[0]))
    assert TOKEN not in "".join(record.getMessage() for record in caplog.records if not record.name.startswith(("httpx", "httpcore")))


def test_the_desk_trades_on_the_same_loop_meanwhile():
    stand = make_desk(engines=2, contracts=False, rows=200)

    async def story():
        ready = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(serve, stand.desk, port=0, token=TOKEN, on_ready=lambda page: ready.set()))
            await ready.wait()
            await trade(stand.desk, stand.venue)
            tasks.cancel_scope.cancel()
        assert stand.desk.books.now >= stand.venue.exchange.tapes[0].at[-1]
        stand.desk.check(stand.venue.exchange.balances()).require()

    run(story)


def test_a_port_in_use_is_said():
    stand = make_desk(engines=2, contracts=False)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()

        async def story():
            with pytest.raises(OSError, match="in use"):
                await serve(stand.desk, port=taken.getsockname()[1], token=TOKEN)

        run(story)


def served_to(visit, **terms):
    """Have a page served, and visited from a thread of its own: `visit(page, host, port)`; returns what it does."""
    found = []

    async def story():
        ready, pages = anyio.Event(), []
        async with anyio.create_task_group() as tasks:
            stand = make_desk(engines=2, contracts=False)
            told = {"on_ready": lambda page: (pages.append(page), ready.set()), "token": TOKEN}
            tasks.start_soon(partial(serve, stand.desk, port=0, **told | terms))
            await ready.wait()
            port = int(pages[0].url.rstrip("/").rpartition(":")[2])
            found.append(await anyio.to_thread.run_sync(visit, pages[0], terms.get("host", "127.0.0.1"), port))
            tasks.cancel_scope.cancel()

    run(story)
    return found[0]


def cut_off(line):
    """Wait until a connection is ended by the other side; what was said before is passed over."""
    line.settimeout(30)
    try:
        while line.recv(65_536):
            pass
    except ConnectionError:
        pass
    finally:
        line.close()
    return True


def asked(line, path, *headers):
    """Ask for something by a connection that is kept, and read the first line of what it is answered."""
    head = "\r\n".join([f"GET {path} HTTP/1.1", "Host: 127.0.0.1", *headers, "", ""])
    line.settimeout(30)
    line.sendall(head.encode())
    return line.recv(65_536).partition(b"\r\n")[0]


def test_strangers_hold_few_lines_and_keep_nobody_out(monkeypatch):
    monkeypatch.setattr(serving, "MOST_STRANGERS", 8)

    def visit(page, *where):
        bearer = f"Authorization: Bearer {TOKEN}"
        mine, strangers = upgraded(where), []
        for _ in range(40):
            strangers.append(socket.create_connection(where))
            strangers[-1].sendall(b"GET / HT")
        assert all(cut_off(line) for line in strangers[:32])
        assert pongs(mine), "who was let in is not cut off"
        with socket.create_connection(where) as late:
            assert asked(late, "/api/health", bearer).startswith(b"HTTP/1.1 200")
        for line in [mine, *strangers]:
            line.close()

    served_to(visit)


def test_any_name_of_this_machine_is_answered_to_where_it_is_served_there():
    assert served_to(lambda page, *where: httpx.get(page.login).status_code, host="127.0.0.2") == 200


async def told_later(page):
    """What nobody would wait for."""


def test_there_are_so_many_lines_and_no_more(monkeypatch):
    monkeypatch.setattr(serving, "MOST_LINES", 4)

    def visit(page, *where):
        mine = [upgraded(where) for _ in range(4)]
        assert cut_off(socket.create_connection(where))
        assert all(map(pongs, mine))
        for line in mine:
            line.close()

    served_to(visit)


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"GET / HT",
        b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 50\r\n\r\ntoken=",
    ],
)
def test_a_request_that_does_not_come_is_not_waited_for(monkeypatch, begun):
    monkeypatch.setattr(serving, "REQUEST_WITHIN", 0.5)

    def visit(page, *where):
        line = socket.create_connection(where)
        line.sendall(begun)
        return cut_off(line)

    assert served_to(visit)


def upgraded(where):
    """A page's socket, as bytes."""
    line = socket.create_connection(where)
    words = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==")
    assert asked(line, "/socket", *words, f"Authorization: Bearer {TOKEN}").startswith(b"HTTP/1.1 101")
    line.sendall(frame(1, b'{"type":"hello"}'))
    return line


def pongs(line):
    """Whether a page's socket is answered."""
    line.sendall(frame(1, b'{"type":"ping"}'))
    seen = b""
    while b'"pong"' not in seen:
        more = line.recv(65_536)
        if not more:
            return False
        seen = seen[-20:] + more
    return True


def frame(kind, data):
    """A frame as a browser sends it, its mask being nothing."""
    return bytes([0x80 | kind, 0x80 | len(data)]) + bytes(4) + data


def test_a_socket_that_pings_without_end_is_cut_off():
    def visit(page, *where):
        line = upgraded(where)
        for _ in range(10):
            line.sendall(frame(9, b"a"))
        seen = b""
        while b"\x8a\x01a" not in seen:  # some are answered
            seen = seen[-3:] + line.recv(65_536)
            assert seen
        try:
            while True:
                line.sendall(frame(9, b"p" * 125) * 500)
                if not line.recv(65_536):
                    break
        except ConnectionError:
            pass
        finally:
            line.close()

    served_to(visit)


def test_who_reads_nothing_of_what_waits_is_cut_off():
    class Transport:
        waits, closing, ended = 0, False, False

        def get_write_buffer_size(self):
            return self.waits

        def is_closing(self):
            return self.closing

        def abort(self):
            self.ended = True

    now = [0.0]
    lines = serving.Lines(clock=lambda: now[0])
    slow, stuck, gone, still = (Transport() for _ in range(4))
    for one in (slow, stuck, gone, still):
        lines.came(object(), one)
        lines.asks(one, False)
        one.waits = 10_000_000
    for one in (slow, stuck):
        lines.fills(one, True)
    gone.closing = True
    for second in range(100):
        now[0] = float(second)
        slow.waits -= 1_000
        lines.sweep()
    assert (slow.ended, stuck.ended, gone.ended, still.ended) == (False, True, True, False)


@pytest.mark.parametrize(
    ("terms", "words"),
    [
        ({"port": -1}, "port"),
        ({"on_ready": told_later}, "plain function"),
        ({"grace": float("inf")}, "grace"),
        ({"hosts": []}, "hosts"),
        ({"title": None}, "title"),
        ({"title": "\ud800"}, "title"),
        ({"authorize": 5}, "authorize"),
        ({"port": 70_000}, "port"),
        ({"port": True}, "port"),
        ({"token": "short"}, "16 to 256"),
    ],
)
def test_terms_that_cannot_be_are_refused(terms, words):
    stand = make_desk(engines=2, contracts=False)

    async def story():
        with pytest.raises(VaultError, match=words):
            await serve(stand.desk, **({"port": 0, "token": TOKEN} | terms))

    run(story)


def test_beyond_this_machine_needs_names_and_is_warned_of(caplog):
    stand = make_desk(engines=2, contracts=False)

    async def story():
        with pytest.raises(VaultError, match="hosts="):
            await serve(stand.desk, host="0.0.0.0", port=0, token=TOKEN)
        pages = []
        async with anyio.create_task_group() as tasks:

            def ready(page):
                pages.append(page)
                tasks.cancel_scope.cancel()

            await serve(stand.desk, host="0.0.0.0", hosts=["bots.example.com"], port=0, token=TOKEN, on_ready=ready)
        assert pages[0].url.startswith("http://bots.example.com:")

    run(story)
    assert any("beyond this machine" in record.getMessage() for record in caplog.records)


def test_another_loop_than_asyncios_is_said():
    stand = make_desk(engines=2, contracts=False)

    async def story():
        with pytest.raises(VaultError, match="needs asyncio"):
            await serve(stand.desk, port=0, token=TOKEN)

    anyio.run(story, backend="trio")


def test_what_on_ready_raises_ends_it():
    stand = make_desk(engines=2, contracts=False)

    async def story():
        def ready(page):
            raise ValueError("the owner's own")

        with pytest.raises(BaseExceptionGroup) as raised:
            await serve(stand.desk, port=0, token=TOKEN, on_ready=ready)
        assert raised.group_contains(ValueError, match="the owner's own")

    run(story)


def test_where_it_is_served_shows_no_token():
    page = Served("http://127.0.0.1:8000/", Secret(TOKEN))
    assert page.login == f"http://127.0.0.1:8000/login?token={TOKEN}"
    assert TOKEN not in f"{page} {page!r}"
    assert Served("http://127.0.0.1:8000/", None).login == "http://127.0.0.1:8000/"


# -- the demo --------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_demos_market_holds_the_laws_and_every_engine_trades():
    made = market(rows=150)
    anyio.run(trade, made.desk, made.venue)
    made.desk.check(made.venue.exchange.balances(), positions=made.venue.exchange.positions()).require()
    picture = Feed(made.desk, venues=[made.venue], depth=made.depth).snapshot()
    traded = {row.subject.partition("-")[0] for row in picture.streams["log"] if row.kind == "fill"}
    assert {"flash", "maker"} <= traded | {row.sleeve for row in picture.tables["positions"].values()}
    assert {"carry|BTC-PERP", "carry|BTC/USD"} <= set(picture.tables["positions"])
    book = picture.tables["books"]["maker|BTC-PERP"]
    assert book.own
    assert book.depth.bids
    assert book.depth.asks
    assert float(book.depth.bids[0][0]) < float(book.depth.asks[0][0])
    assert picture.tables["desk"]["desk:main"].real_money is False
    assert made.depth(made.venue.exchange.markets[0].instrument) is None
    again = market(rows=150)
    anyio.run(trade, again.desk, again.venue)
    assert again.desk.books.journal.digest() == made.desk.books.journal.digest()
    assert "simulated" in TITLE


def test_the_command_shows_the_demo_and_ends_by_itself():
    words = ["dashboard", "--port", "0", "--seconds", "8", "--speed", "50"]
    program = [sys.executable, "-u", "-c", "import sys; from sleeves.cli import main; sys.exit(main(sys.argv[1:]))", *words]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        try:
            title, where = child.stdout.readline(), child.stdout.readline()
            assert "simulated" in title
            login = re.fullmatch(r"open (http://127\.0\.0\.1:\d+/login\?token=[\w-]{43})\n", where)[1]
            with httpx.Client() as client:
                assert client.get(login).status_code == 200
                snapshot = client.get(login.partition("login")[0] + "api/snapshot").json()
                assert snapshot["commands"] is True
                assert "simulated" in snapshot["title"]
                assert set(snapshot["tables"]["sleeves"]) == {"quiet", "flash", "carry", "maker"}
            assert child.wait(60) == 0
            assert child.stderr.read() == ""
        finally:
            child.kill()


def test_the_command_is_ended_by_an_interrupt():
    words = ["dashboard", "--port", "0", "--no-commands"]
    # a run of tests in the background of a shell has its children ignore the signal: this one is to hear it, as in a terminal
    heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    program = [sys.executable, "-u", "-c", heard + "import sys; from sleeves.cli import main; sys.exit(main(sys.argv[1:]))", *words]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        try:
            child.stdout.readline()
            login = child.stdout.readline().split()[1]
            with httpx.Client() as client:
                client.get(login)
                assert client.get(login.partition("login")[0] + "api/snapshot").json()["commands"] is False
            child.send_signal(signal.SIGINT)
            assert child.wait(60) == 0
            assert "Traceback" not in child.stderr.read()
        finally:
            child.kill()


@pytest.mark.parametrize(
    ("words", "said"), [(["--speed", "0"], "--speed"), (["--seconds", "-1"], "--seconds"), (["--port", "99999"], "port")]
)
def test_the_command_says_what_cannot_be(words, said, capsys):
    assert main(["dashboard", *words]) == 2
    told = capsys.readouterr()
    assert said in told.err
    assert "login" not in told.out


def test_the_command_says_that_a_port_is_taken(capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert main(["dashboard", "--port", str(taken.getsockname()[1])]) == 2
        where = f"127.0.0.1:{taken.getsockname()[1]}"
    assert f"in use: {where}; port 0 takes any" in capsys.readouterr().err


def test_the_demo_has_its_coin_and_its_contract_at_one_price():
    """The contract's prices are taken to be the coin's: makers that look too rarely would leave its book an hour behind."""
    demo = market(rows=300, first=1650)
    anyio.run(partial(trade, demo.desk, demo.venue))
    marks = [one.prices for one in demo.desk.books.journal if isinstance(one, Marked) and len(one.prices) == 2]
    apart = [abs(prices["BTC-PERP"][0] / prices["BTC/USD"][0] - 1) for prices in marks]
    assert len(marks) > 200 and max(apart) < 0.01
