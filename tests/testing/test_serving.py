"""An ASGI app on a loopback socket: reached from plain code, asyncio and trio, started and stopped without leavings."""

from __future__ import annotations

import errno
import socket
import subprocess
import sys
import threading
import time

import anyio
import httpx
import pytest
from websockets.sync.client import connect

from sleeves.errors import MissingExtra, VaultError
from sleeves.testing.serving import Server, serve


async def echo(scope, receive, send):
    """Answers with the body; a socket says everything back."""
    if scope["type"] == "lifespan":
        raise RuntimeError("it has none")
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})
        return
    body = (await receive())["body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"echo " + body})


def serving_threads():
    return [one for one in threading.enumerate() if one.name == "sleeves-serving"]


def test_plain_code_reaches_http_and_a_socket_on_one_port():
    with serve(echo) as url:
        assert url.startswith("http://127.0.0.1:")
        assert httpx.post(url, content=b"one").content == b"echo one"
        with connect(url.replace("http", "ws", 1)) as socket:
            socket.send("two")
            assert socket.recv(timeout=5) == "two"
    assert serving_threads() == []


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_both_backends_reach_it(backend):
    async def story():
        with serve(echo) as url:
            async with httpx.AsyncClient() as http:
                return (await http.post(url, content=b"three")).content

    assert anyio.run(story, backend=backend) == b"echo three"
    assert serving_threads() == []


def test_an_answer_comes_without_the_delay_of_small_packets():
    with serve(echo) as url, httpx.Client() as http:
        http.post(url, content=b"warm")
        began = time.perf_counter()
        for _ in range(20):
            http.post(url, content=b"again")
        assert time.perf_counter() - began < 0.6  # 40 ms each where the second packet of an answer waits for a receipt


def test_nobody_listens_any_more_when_the_block_is_over():
    with serve(echo) as url:
        pass
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)


def test_starting_and_stopping_again_does_nothing_and_the_port_stays_the_same():
    server = Server(echo)
    url = server.start()
    assert server.start() == url
    assert len(serving_threads()) == 1
    server.stop()
    server.stop()
    assert server.start() == url == server.url
    assert httpx.post(url, content=b"back").content == b"echo back"
    server.stop()
    assert serving_threads() == []


@pytest.fixture
def occupied():
    """A port on which somebody else listens."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


def test_a_port_of_one_s_own_that_is_in_use_is_an_error_and_leaves_nothing(occupied):
    server = Server(echo, port=occupied)
    for _ in range(2):
        with pytest.raises(OSError, match=f"port {occupied} of 127.0.0.1 is in use") as raised:
            server.start()
        assert raised.value.errno == errno.EADDRINUSE
    server.stop()
    assert serving_threads() == []


def test_a_port_of_one_s_own_is_taken_when_it_is_free():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
    with serve(echo, port=port) as url:
        assert url == f"http://127.0.0.1:{port}" and httpx.post(url, content=b"here").content == b"echo here"


def test_any_port_may_be_another_when_it_starts_again():
    server = Server(echo)
    before = server.start()
    server.stop()
    with socket.create_server(("127.0.0.1", int(before.rpartition(":")[2]))):
        now = server.start()
        assert now != before and now == server.url
        assert httpx.post(now, content=b"elsewhere").content == b"echo elsewhere"
        server.stop()
    assert serving_threads() == []


@pytest.mark.parametrize("port", [-1, 65_536, "8000", 8000.0, True, None])
def test_a_port_that_is_none(port):
    with pytest.raises(VaultError, match="65535"):
        Server(echo, port=port)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_clients_that_hang_are_cut_on_both_backends(backend):
    entered = threading.Event()

    async def hangs(scope, receive, send):
        if scope["type"] == "http":
            entered.set()
            await anyio.sleep_forever()

    async def story():
        server, failed = Server(hangs, grace=0.2), []

        async def ask(url):
            async with httpx.AsyncClient(timeout=20) as http:
                try:
                    await http.get(url)
                except httpx.TransportError as error:
                    failed.append(error)

        with anyio.fail_after(10):
            async with anyio.create_task_group() as clients:
                clients.start_soon(ask, server.start())
                await anyio.to_thread.run_sync(entered.wait, 5)
                server.stop()
        return failed

    (error,) = anyio.run(story, backend=backend)
    assert not isinstance(error, httpx.TimeoutException)
    assert serving_threads() == []


def test_two_servers_have_two_ports():
    with serve(echo) as one, serve(echo) as other:
        assert one != other


def test_what_hangs_does_not_hold_the_end():
    entered = threading.Event()

    async def hangs(scope, receive, send):
        if scope["type"] == "http":
            entered.set()
            await anyio.sleep_forever()

    def ask(url):
        with pytest.raises(httpx.TransportError):
            httpx.get(url, timeout=20)

    server = Server(hangs, grace=0.2)
    asking = threading.Thread(target=ask, args=(server.start(),))
    asking.start()
    assert entered.wait(5)
    began = time.perf_counter()
    server.stop()
    assert time.perf_counter() - began < 3
    asking.join(5)
    assert not asking.is_alive()


def lifespan(said, *, fails=False):
    async def app(scope, receive, send):
        assert scope["type"] == "lifespan"
        assert (await receive())["type"] == "lifespan.startup"
        if fails:
            await send({"type": "lifespan.startup.failed", "message": "no"})
            return
        said.append("up")
        await send({"type": "lifespan.startup.complete"})
        assert (await receive())["type"] == "lifespan.shutdown"
        said.append("down")
        await send({"type": "lifespan.shutdown.complete"})

    return app


def test_a_lifespan_is_begun_and_ended():
    said = []
    with serve(lifespan(said)):
        assert said == ["up"]
    assert said == ["up", "down"]


def test_a_lifespan_that_fails_is_an_error_and_leaves_no_thread():
    with pytest.raises(RuntimeError, match="lifespan"), serve(lifespan([], fails=True)):
        pass
    assert serving_threads() == []


def test_an_error_inside_of_the_block_comes_out_and_the_server_is_gone():
    with pytest.raises(ZeroDivisionError), serve(echo):
        1 / 0  # noqa: B018
    assert serving_threads() == []


def test_without_uvicorn_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(MissingExtra, match=r"sleeves\[servers\]"), serve(echo):
        pass


def test_importing_it_loads_no_server():
    code = "import sys, sleeves.testing.serving, sleeves.testing.kraken_server; print({'uvicorn', 'starlette', 'httpx'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
