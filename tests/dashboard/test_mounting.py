"""The page within somebody else's app: FastAPI, Django, plain Starlette. Files, data and the socket, over real sockets."""

from __future__ import annotations

import json
import re
from contextlib import asynccontextmanager
from functools import wraps
from urllib.parse import quote, urljoin

import anyio
import httpx
import pytest
from httpx_ws import WebSocketUpgradeError, aconnect_ws
from stand import Page, make_desk

from sleeves.control import Control
from sleeves.dashboard import app
from sleeves.dashboard.serve import Lines, _listen, _run, _server

TOKEN = "t0ken-of-the-tests-and-of-nobody-else"


def story(test):
    @wraps(test)
    def run(*args, **kwargs):
        async def main():
            with anyio.fail_after(60):
                await test(*args, **kwargs)

        anyio.run(main)

    return run


@asynccontextmanager
async def behind(made):
    """An ASGI app behind uvicorn on this loop; gives its address."""
    import uvicorn

    listener = _listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    config = uvicorn.Config(made, ws="wsproto", lifespan="auto", log_config=None, timeout_graceful_shutdown=1)
    ready = anyio.Event()
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_run, _server(uvicorn.Server, Lines())(config), listener, None, lambda _: ready.set())
            await ready.wait()
            yield f"http://127.0.0.1:{port}"
            tasks.cancel_scope.cancel()
    finally:
        listener.close()


def fastapi(dashboard):
    from fastapi import FastAPI

    outer = FastAPI()

    @outer.get("/mine")
    def mine():
        return {"mine": True}

    outer.mount("/bots", dashboard)
    return outer, "/bots", "/mine"


def starlette(dashboard):
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse
    from starlette.routing import Mount, Route

    async def mine(_):
        return JSONResponse({"mine": True})

    return Starlette(routes=[Route("/mine", mine), Mount("/deep/er", dashboard)]), "/deep/er", "/mine"


def django(dashboard):
    from django.conf import settings

    if not settings.configured:
        settings.configure(DEBUG=False, SECRET_KEY="of the tests", ALLOWED_HOSTS=["127.0.0.1"], ROOT_URLCONF=__name__, LOGGING_CONFIG=None)
        import django as framework

        framework.setup()
    from django.core.asgi import get_asgi_application
    from starlette.routing import Mount, Router

    # whatever is not the page's is Django's
    outer = Router(routes=[Mount("/bots", dashboard)], default=get_asgi_application())
    return outer, "/bots", "/mine"


def urls():
    from django.http import JsonResponse
    from django.urls import path

    return [path("mine", lambda request: JsonResponse({"mine": True}))]


class _Urls:
    """Django asks for them when it is asked the first time, and only then is it set up."""

    def __iter__(self):
        return iter(urls())

    def __len__(self):
        return len(urls())

    def __getitem__(self, index):
        return urls()[index]

    def __reversed__(self):
        return reversed(urls())


urlpatterns = _Urls()
HOSTS = [fastapi, starlette, django]


@pytest.mark.parametrize("host", HOSTS)
@story
async def test_the_whole_page_works_where_it_is_mounted(host):
    stand = make_desk(engines=2, contracts=False)
    outer, mount, mine = host(app(stand.desk, control=Control(stand.desk, stand.venue), token=TOKEN))
    async with behind(outer) as url, httpx.AsyncClient() as client:
        assert (await client.get(url + mine)).json() == {"mine": True}
        assert (await client.get(f"{url}{mount}/api/health")).status_code == 401
        signed = await client.get(f"{url}{mount}/login?token={TOKEN}")
        assert signed.status_code == 200
        assert f"Path={mount}/" in signed.headers["set-cookie"]
        home = urljoin(str(signed.url), re.search(r'content="0;url=([^"]+)"', signed.text)[1])
        assert home == f"{url}{mount}/"

        bare = await client.get(f"{url}{mount}", follow_redirects=True)
        assert str(bare.url) in (home, home + "login")
        page = await client.get(home)
        assert page.status_code == 200
        addresses = re.findall(r'(?:src|href)="([^"#:]+)"', page.text)
        assert any("index.js" in one for one in addresses)
        assert not any(one.startswith("/") for one in addresses)
        for address in addresses:
            if address != "./":
                answer = await client.get(urljoin(home, address))
                assert answer.status_code == 200, address
        await modules(client, urljoin(home, next(one for one in addresses if one.endswith("index.js"))))

        assert (await client.get(urljoin(home, "api/snapshot"))).json()["type"] == "snapshot"
        assert (await client.get(urljoin(home, "api/markets"))).status_code == 200
        document = (await client.get(urljoin(home, "api/openapi.json"))).json()
        assert document["servers"] == [{"url": f"{mount}/"}]

        with pytest.raises(WebSocketUpgradeError):
            async with aconnect_ws(
                urljoin(home, "socket"), client, subprotocols=["sleeves.v1"], headers={"Origin": "https://evil.example"}
            ):
                pass
        seen = Page()
        async with aconnect_ws(urljoin(home, "socket"), client, subprotocols=["sleeves.v1"], headers={"Origin": url}) as line:
            await line.send_text('{"type":"hello"}')
            seen.take((await line.receive_text()).encode())
            await line.send_text(json.dumps({"type": "do", "instruction": {"what": "pause", "id": "p-1", "target": "quiet"}}))
            answered = False
            while not answered or seen.tables["sleeves"]["quiet"]["status"] != "paused":
                body = json.loads(await line.receive_text())
                answered = answered or body["type"] == "answer"
                if body["type"] in ("delta", "snapshot"):
                    assert seen.take(json.dumps(body).encode()) == "ok"
        async with aconnect_ws(urljoin(home, "socket"), client, subprotocols=["sleeves.v1"], headers={"Origin": url}) as line:
            await line.send_text(json.dumps({"type": "hello", "session": seen.session, "seq": seen.seq}))
            stand.desk.resume(stand.sleeves["quiet"], by="ann")
            while seen.tables["sleeves"]["quiet"]["status"] == "paused":
                body = json.loads(await line.receive_text())
                if body["type"] in ("delta", "snapshot"):
                    assert seen.take(json.dumps(body).encode()) == "ok"
        out = await client.post(urljoin(home, "logout"), headers={"Origin": url})
        assert urljoin(str(out.url), out.headers["location"]) == home + "login"
        assert (await client.get(urljoin(home, "api/snapshot"))).status_code == 401


async def modules(client, first):
    """Every module that a module imports is there, by its relative address."""
    waiting, seen = [first], set()
    while waiting:
        address = waiting.pop()
        if address in seen:
            continue
        seen.add(address)
        answer = await client.get(address)
        assert answer.status_code == 200, address
        assert answer.headers["content-type"].startswith("text/javascript")
        for line in re.findall(r'^import .*?"(\.[^"]+)";', answer.text, re.MULTILINE):
            waiting.append(urljoin(address, line))
    assert len(seen) > 8


@story
async def test_two_pages_in_one_app_do_not_share_their_sign_ins():
    from starlette.applications import Starlette
    from starlette.routing import Mount

    one, two = make_desk(engines=2, contracts=False), make_desk(engines=2, contracts=False)
    outer = Starlette(routes=[Mount("/one", app(one.desk, token=TOKEN)), Mount("/two", app(two.desk, token=TOKEN[::-1]))])
    async with behind(outer) as url, httpx.AsyncClient() as client:
        await client.get(f"{url}/one/login?token={TOKEN}")
        assert (await client.get(f"{url}/one/api/health")).status_code == 200
        assert (await client.get(f"{url}/two/api/health")).status_code == 401
        assert (await client.get(f"{url}/two/login?token={TOKEN}")).status_code == 401
        await client.get(f"{url}/two/login?token={TOKEN[::-1]}")
        assert (await client.get(f"{url}/two/api/health")).status_code == 200
        assert (await client.get(f"{url}/one/api/health")).status_code == 200


@story
async def test_behind_a_proxy_that_says_the_prefix_addresses_stay_relative():
    stand = make_desk(engines=2, contracts=False)
    made = app(stand.desk, token=TOKEN, hosts=["bots.example.com"])
    transport = httpx.ASGITransport(made, root_path="/desk")
    async with httpx.AsyncClient(transport=transport, base_url="https://bots.example.com") as client:
        answer = await client.get(f"/desk/login?token={TOKEN}")
        assert answer.status_code == 200
        assert "0;url=./" in answer.text
        assert "Path=/desk/" in answer.headers["set-cookie"]
        assert "Secure" in answer.headers["set-cookie"]
        assert (await client.get("/desk/")).status_code == 200
        assert (await client.get("/desk/api/openapi.json")).json()["servers"] == [{"url": "/desk/"}]


@pytest.mark.parametrize("root", ["/a b", "/über", "/報告", "/ann@here:1"])
@story
async def test_a_cookie_is_of_the_path_as_browsers_write_it(root):
    stand = make_desk(engines=2, contracts=False)
    transport = httpx.ASGITransport(app(stand.desk, token=TOKEN), root_path=root)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        answer = await client.get(f"{root}/login?token={TOKEN}")
        assert f"Path={quote(root, safe='/@:')}/;" in answer.headers["set-cookie"]
        out = await client.post(f"{root}/logout", headers={"Origin": "http://127.0.0.1"})
        assert f"Path={quote(root, safe='/@:')}/;" in out.headers["set-cookie"]


@story
async def test_a_path_writes_nothing_into_the_cookie():
    stand = make_desk(engines=2, contracts=False)
    transport = httpx.ASGITransport(app(stand.desk, token=TOKEN), root_path="/a; Domain=example.com; x=")
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        answer = await client.get(f"/a; Domain=example.com; x=/login?token={TOKEN}")
        assert "; domain" not in answer.headers["set-cookie"].lower()
