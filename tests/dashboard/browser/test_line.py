"""A line that falls is taken up again and nothing is lost; who has no business here gets no line at all."""

from __future__ import annotations

import json

import pytest
from browsing import Wire, elsewhere, parts_of_the_page
from houses import TOKEN, House, a_desk, a_market
from looking import STORE, agree, picture, sign_in, wait_live

CUTS = 8
OFFLINE = "WebSocket connection to|ERR_CONNECTION|ERR_EMPTY_RESPONSE|ERR_SOCKET|Failed to load resource"


def seqs(watch):
    """The numbers of all deltas that the page's sockets brought, in order."""
    told = [json.loads(text) for text in watch.got]
    return [one["seq"] for one in told if one["type"] == "delta"], sum(one["type"] == "snapshot" for one in told)


def test_a_page_whose_line_is_cut_again_and_again_ends_with_all_of_it(watched):
    with House(a_desk(), a_market(pace=0.01)) as house, Wire(house.port) as wire:
        watch = watched()
        watch.expect(OFFLINE)
        page = sign_in(watch, house, port=wire.port)
        begun = picture(page)["seq"]
        for cut in range(CUTS):
            at = picture(page)["seq"]
            page.wait_for_function(f"at => {STORE}.seq > at + 3", arg=at)
            assert wire.cut()
            wait_live(page, "lost")
            if cut % 2:
                page.wait_for_timeout(120)  # the desk goes on meanwhile
            page.evaluate("dispatchEvent(new Event('online'))")  # as the network's return does: no waiting
            wait_live(page)
        house.venues[0].still = True
        agree(page, house)
        told, snapshots = seqs(watch)
        end = picture(page)["seq"]
    assert snapshots == 1, "what was missed was told, and not all of it again"
    assert sorted(set(told)) == list(range(min(told), end + 1)), "every number came"
    assert min(told) <= begun + 1
    assert len(watch.sockets) == CUTS + 1
    hellos = [one for one in map(json.loads, watch.sent) if one["type"] == "hello"]
    assert [one["session"] is None for one in hellos] == [True] + [False] * CUTS


def test_a_page_in_a_market_that_stands_still_is_live_again_at_once(watched):
    with House(a_desk(), a_market(pace=0.01)) as house, Wire(house.port) as wire:
        watch = watched()
        watch.expect(OFFLINE)
        page = sign_in(watch, house, port=wire.port)
        house.venues[0].still = True
        agree(page, house)
        wire.closed = True
        wire.cut()
        wait_live(page, "lost")
        assert page.get_by_text("isconnected").first.is_visible(), "it says so"
        wire.closed = False
        page.evaluate("dispatchEvent(new Event('online'))")
        page.wait_for_function(f"() => {STORE}.state === 'live'", timeout=5_000)
        agree(page, house)


def test_a_server_that_was_started_anew_tells_all_of_it(watched):
    """The page stands on another server of its owner's, which the desk's server knows as an origin, and has the token itself."""
    desk = a_desk()
    watch = watched()
    watch.expect(OFFLINE)
    pages = parts_of_the_page()
    with elsewhere(pages) as port:
        origins = [f"http://127.0.0.1:{port}"]
        watch.hosts.add(f"127.0.0.1:{port}")
        with House(desk, a_market(rows=100, pace=0.005), origins=origins) as house:
            watch.hosts.add(f"127.0.0.1:{house.port}")
            pages["/"] = (
                '<!doctype html><title>own</title><script type="module" src="/static/index.js"></script>'
                f'<sleeves-desk src="{house.url}" token="{TOKEN}"><inventory-view></inventory-view></sleeves-desk>'
            )
            page = watch.context.new_page()
            page.goto(f"http://127.0.0.1:{port}/")
            wait_live(page)
            assert house.over.wait(30)
            first = agree(page, house)
            again = house.port
        wait_live(page, "lost")
        with House(desk, run=False, port=again, origins=origins) as house:
            page.evaluate("dispatchEvent(new Event('online'))")
            wait_live(page)
            second = agree(page, house)
    assert first["session"] != second["session"]
    assert first["tables"]["sleeves"] == second["tables"]["sleeves"]
    assert seqs(watch)[1] == 2


def test_who_is_not_signed_in_any_more_is_told_so(watched):
    with House(a_desk(), a_market(pace=0.01)) as house, Wire(house.port) as wire:
        watch = watched()
        watch.expect(OFFLINE)
        page = sign_in(watch, house, port=wire.port)
        watch.context.clear_cookies()
        wire.cut()
        page.wait_for_function(f"() => {STORE}.state === 'refused'", timeout=10_000)
        assert page.get_by_text("ign in").first.is_visible()


@pytest.mark.parametrize("token", ["", "wrong", "a-token-of-the-tests-012345678", "a-token-of-the-tests-01234567890"])
def test_a_wrong_token_opens_nothing(watched, token):
    with House(a_desk(), a_market()) as house:
        watch = watched(hosts=(f"127.0.0.1:{house.port}",))
        watch.expect("40[0-9]|WebSocket connection")
        page = watch.context.new_page()
        page.goto(f"{house.url}login?token={token}")
        assert page.locator("sleeves-page").count() == 0
        assert "quiet" not in page.content()
        for path in ("api/snapshot", "api/markets", "api/health", "api/journal", "api/schema", "api/openapi.json"):
            assert page.evaluate("path => fetch(path).then(answer => answer.status)", house.url + path) in (401, 403), path
        answer = page.evaluate(
            """([url, token]) => new Promise(resolve => {
                const protocols = token ? ['sleeves.v1', 'sleeves.token.' + token] : ['sleeves.v1'];
                const socket = new WebSocket(url, protocols);
                socket.onopen = () => resolve('open'); socket.onclose = event => resolve('closed ' + event.code);
            })""",
            [f"ws://127.0.0.1:{house.port}/socket", token],
        )
        assert answer == "closed 1006"


HOSTILE_PAGE = "<!doctype html><title>elsewhere</title><p>a page of somebody else</p>"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_page_from_elsewhere_gets_no_line_even_where_the_owner_is_signed_in(watched, host):
    """Another port of this machine is the same site to a browser, which sends the owner's cookie along: the Origin says who asks."""
    with House(a_desk(), a_market()) as house, elsewhere({"/": HOSTILE_PAGE}) as port:
        watch = watched(hosts=(f"{host}:{port}", f"127.0.0.1:{house.port}"))
        watch.expect("40[0-9]|WebSocket connection|CORS|Failed to load|ERR_FAILED|blocked")
        sign_in(watch, house)
        page = watch.context.new_page()
        page.goto(f"http://{host}:{port}/")
        answer = page.evaluate(
            """url => new Promise(resolve => {
                const socket = new WebSocket(url, ['sleeves.v1']);
                socket.onopen = () => resolve('open'); socket.onclose = event => resolve('closed ' + event.code);
            })""",
            f"ws://127.0.0.1:{house.port}/socket",
        )
        assert answer == "closed 1006"
        for path, options in (
            ("api/snapshot", {"credentials": "include"}),
            ("api/instructions", {"method": "POST", "credentials": "include", "body": '{"what":"pause","id":"x","target":"flash"}'}),
        ):
            read = page.evaluate(
                "([url, options]) => fetch(url, options).then(answer => answer.text(), error => 'unreadable')", [house.url + path, options]
            )
            assert read == "unreadable", f"{path}: {read}"
        sent = page.evaluate(
            """url => fetch(url, { method: 'POST', mode: 'no-cors', credentials: 'include', headers: { 'Content-Type': 'text/plain' },
                body: '{"what":"pause","id":"x-1","target":"flash"}' }).then(() => 'sent', () => 'not sent')""",
            house.url + "api/instructions",
        )
        assert sent in ("sent", "not sent")
        assert house.ask(lambda: house.vault.sleeves["flash"].status) == "active"
        assert [one for one in house.ask(lambda: list(house.desk.books.journal)) if type(one).__name__ == "Instructed"] == []


def test_no_token_is_ever_in_an_address_that_stays(watched):
    with House(a_desk(), a_market()) as house:
        watch = watched()
        page = sign_in(watch, house)
        assert "token" not in page.url
        assert [url for url in watch.requests if "a-token-of" in url] == [house.served.login]
        assert "a-token-of" not in page.content()
        assert page.evaluate("document.cookie") == "", "scripts cannot read it"
