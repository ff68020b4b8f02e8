"""The app over HTTP: what it gives to whom, what it takes, and that hostile requests move nothing and learn nothing."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import subprocess
import sys
from functools import wraps
from pathlib import Path

import anyio
import httpx
import pytest
from stand import MARKUP, make_desk

from sleeves import USD, CoreVault, Desk
from sleeves.control import Control
from sleeves.dashboard import Feed, app
from sleeves.dashboard.messages import LARGEST, from_json, plain
from sleeves.errors import JournalError, VaultError
from sleeves.journals import SQLite
from sleeves.pulse import Pulse
from sleeves.shell import carry

TOKEN = "t0ken-of-the-tests-and-of-nobody-else"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
HERE = "http://127.0.0.1:8000"
VAULT = "core:main:USD"
BUY = {"what": "open", "id": "r-1", "sleeve": "quiet", "market": "BTC/USD", "side": "buy", "qty": "0.01"}
STATIC = Path(__file__).parents[2] / "src/sleeves/dashboard/static"

ROUTES = [
    ("GET", "/"),
    ("GET", "/static/index.js"),
    ("GET", "/static/nothing.js"),
    ("GET", "/api/snapshot"),
    ("GET", "/api/markets"),
    ("GET", "/api/health"),
    ("GET", "/api/explain/quiet"),
    ("GET", "/api/explain/nobody"),
    ("GET", "/api/journal"),
    ("GET", "/api/schema"),
    ("GET", "/api/openapi.json"),
    ("GET", "/api/instructions/r-1"),
    ("GET", "/nowhere"),
    ("POST", "/api/preview"),
    ("POST", "/api/instructions"),
    ("POST", "/logout"),
    ("POST", "/api/snapshot"),
    ("DELETE", "/api/snapshot"),
    ("OPTIONS", "/api/snapshot"),
    ("PUT", "/api/instructions/r-1"),
]


class House:
    """A stand, its app, and a client of it."""

    def __init__(self, stand, *, commands=True, **terms):
        self.stand = stand
        self.control = Control(stand.desk, stand.venue) if commands else None
        self.app = app(stand.desk, control=self.control, **({"token": TOKEN} | terms))

    def client(self, **terms):
        transport = httpx.ASGITransport(self.app, client=("127.0.0.1", 50_000))
        return httpx.AsyncClient(transport=transport, base_url=HERE, **({"headers": BEARER} | terms))

    @property
    def journal(self):
        return self.stand.desk.books.journal

    async def drained(self):
        venue, desk = self.stand.venue, self.stand.desk
        while venue._waiting:
            await carry(desk, list(desk.step(venue._waiting.popleft())), venue)


def story(test):
    @wraps(test)
    def run(*args, **kwargs):
        async def main():
            with anyio.fail_after(60):
                await test(*args, **kwargs)

        anyio.run(main)

    return run


@pytest.fixture
def house():
    stand = make_desk(engines=2, contracts=True, hostile=True)
    stand.play(60)
    return House(stand)


def quiet_house(**terms):
    return House(make_desk(engines=2, contracts=False), **terms)


async def previewed(client, terms, **headers):
    return (await client.post("/api/preview", json={"type": "preview", "instruction": terms}, headers=headers)).json()


async def instructed(client, terms, ticket=None, **headers):
    return await client.post("/api/instructions", json={"type": "do", "instruction": terms, "ticket": ticket}, headers=headers)


# -- who is let in ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path"), ROUTES)
@story
async def test_nothing_is_there_without_the_token_or_with_a_wrong_one(method, path):
    house = quiet_house()
    count, before = len(house.journal), house.journal.digest()
    for headers in (
        {},
        {"Authorization": "Bearer wrong-wrong-wrong-wrong"},
        {"Authorization": "Basic " + TOKEN},
        {"Cookie": "sleeves-1=x"},
    ):
        async with house.client(headers=headers, cookies={house.app.state.guard.cookie: "stale"}) as client:
            answer = await client.request(method, path, content=b"{}")
            if path == "/" and not headers.get("Authorization", "").startswith("Bearer"):
                assert (answer.status_code, answer.headers["location"]) == (303, "login")
            else:
                assert answer.status_code == 401
                assert answer.headers["www-authenticate"].startswith("Bearer")
            assert TOKEN not in answer.text + str(answer.headers)
            assert "quiet" not in answer.text
    assert (len(house.journal), house.journal.digest()) == (count, before)


@story
async def test_wrong_tokens_are_slowed_and_the_right_one_never():
    house = quiet_house()
    async with house.client(headers={"Authorization": "Bearer wrong-wrong-wrong"}) as client, house.client() as owner:
        failures = house.app.state.guard.failures
        failures.LONGEST = 0.05
        for _ in range(failures.FREE):
            assert (await client.get("/api/health")).status_code == 401
        crowd = [asyncio.create_task(client.get("/api/health")) for _ in range(80)]
        await asyncio.sleep(0)
        assert (await owner.get("/api/health")).status_code == 200
        statuses = sorted([(await one).status_code for one in crowd])
        assert statuses[0] == 401
        assert statuses[-1] == 429
        assert failures.waiting == 0


@pytest.mark.parametrize(
    ("host", "status"),
    [("127.0.0.1:8000", 200), ("localhost:9", 200), ("[::1]:8000", 200), ("evil.example", 421), ("127.0.0.1.evil.example", 421)],
)
@story
async def test_a_name_that_somebody_points_here_is_not_answered(host, status):
    async with quiet_house().client() as client:
        for path in ("/api/health", "/login", "/static/index.js"):
            assert (await client.get(path, headers={"Host": host})).status_code == status


@pytest.mark.parametrize("origin", ["https://evil.example", "http://127.0.0.1:8001", "null", "http://localhost:8000", ""])
@story
async def test_a_foreign_origin_moves_nothing_whatever_it_brings(house, origin):
    async with house.client(headers={}) as client:
        await client.get(f"/login?token={TOKEN}")
        count = len(house.journal)
        for headers in ({}, BEARER):
            for path, body in (("/api/preview", "preview"), ("/api/instructions", "do")):
                sent = {"type": body, "instruction": {"what": "kill", "id": "k", "target": "desk:main", "flatten": True}}
                answer = await client.post(path, json=sent, headers=headers | {"Origin": origin})
                assert (answer.status_code, answer.json()["code"]) == (403, "foreign_origin")
        assert (await client.post("/logout", headers={"Origin": origin})).status_code == 403
        answer = await client.get("/api/health", headers={"Origin": origin})
        assert "access-control-allow-origin" not in answer.headers
    assert len(house.journal) == count
    assert house.stand.desk.status == "active"


@story
async def test_a_sign_in_needs_its_origin_for_what_changes_something_and_a_bearer_does_not(house):
    async with house.client(headers={}) as client, house.client() as program:
        await client.get(f"/login?token={TOKEN}")
        pause = {"what": "pause", "id": "p-1", "target": "quiet"}
        assert (await instructed(client, pause)).status_code == 403
        assert (await instructed(client, pause, Origin=HERE)).json()["ok"] is True
        assert (await instructed(program, {**pause, "id": "p-2", "target": "flash"})).json()["ok"] is True


@story
async def test_other_origins_may_read_and_instruct_where_that_was_said():
    house = quiet_house(origins=["https://app.example"])
    async with house.client() as client:
        asked = {"Origin": "https://app.example"}
        preflight = await client.options("/api/instructions", headers=asked | {"Authorization": ""})
        assert preflight.status_code == 204
        assert preflight.headers["access-control-allow-origin"] == "https://app.example"
        assert "Authorization" in preflight.headers["access-control-allow-headers"]
        answer = await client.get("/api/health", headers=asked)
        assert answer.headers["access-control-allow-origin"] == "https://app.example"
        assert "Origin" in answer.headers["vary"]
        assert "access-control-allow-credentials" not in answer.headers
        pause = {"what": "pause", "id": "p-1", "target": "quiet"}
        assert (await instructed(client, pause, **asked)).status_code == 200
        refused = await client.options("/api/instructions", headers={"Origin": "https://evil.example", "Authorization": ""})
        assert refused.status_code == 401
        assert "access-control-allow-origin" not in refused.headers


# -- signing in ------------------------------------------------------------------------------------------------------------


@story
async def test_an_address_with_the_token_signs_in_and_leads_away_from_itself():
    house = quiet_house(title="<b>mine</b>")
    async with house.client(headers={}) as client:
        answer = await client.get(f"/login?token={TOKEN}")
        assert answer.status_code == 200
        assert 'http-equiv="refresh" content="0;url=./"' in answer.text
        assert TOKEN not in answer.text + str(answer.headers)
        cookie = answer.headers["set-cookie"]
        assert TOKEN not in cookie
        for word in ("HttpOnly", "SameSite=strict", "Path=/"):
            assert word in cookie
        assert "Secure" not in cookie
        assert answer.headers["referrer-policy"] == "no-referrer"
        again = await client.get("/login")
        assert (again.status_code, again.headers["location"]) == (303, "./"), "who is signed in already sees no form"
        page = await client.get("/")
        assert page.headers["referrer-policy"] == "same-origin"
        assert page.status_code == 200
        assert "<title>&lt;b&gt;mine&lt;/b&gt;</title>" in page.text
        assert (await client.get("/api/snapshot")).json()["title"] == "<b>mine</b>"
        out = await client.post("/logout", headers={"Origin": HERE})
        assert out.headers["location"] == "login"
        client.cookies.clear()
        assert (await client.get("/api/health")).status_code == 401


@story
async def test_a_sign_in_that_was_ended_opens_nothing_even_where_its_cookie_was_kept():
    house = quiet_house()
    async with house.client(headers={}) as client:
        await client.get(f"/login?token={TOKEN}")
        kept = dict(client.cookies)
        await client.post("/logout", headers={"Origin": HERE})
        assert (await client.get("/api/health", headers={"Cookie": "; ".join(map("=".join, kept.items()))})).status_code == 401


@story
async def test_the_form_takes_the_token_and_says_when_it_is_wrong():
    house = quiet_house()
    async with house.client(headers={}) as client:
        form = await client.get("/login")
        assert form.status_code == 200
        assert "password" in form.text
        for wrong in ("", "wrong-wrong-wrong", TOKEN + "x", "\x00", "ü" * 30, "x" * 3_000, '"><script>alert(1)</script>'):
            answer = await client.post("/login", data={"token": wrong}, headers={"Origin": HERE})
            assert answer.status_code == 401
            assert 'id="wrong" role="alert"' in answer.text
            assert "<script>alert" not in answer.text
        assert (await client.post("/login", content=b"x" * 100_000)).status_code == 401
        assert (await client.post("/login", content=b"\xff\xfe=%zz&token")).status_code == 401
        assert (await client.post("/login", data={"token": TOKEN}, headers={"Origin": "https://evil.example"})).status_code == 403
        assert not client.cookies
        answer = await client.post("/login", data={"token": f" {TOKEN}\n"}, headers={"Origin": HERE})
        assert (answer.status_code, answer.headers["location"]) == (303, "./")
        assert (await client.get("/api/health")).status_code == 200


@story
async def test_what_a_proxy_is_told_of_its_own_sign_in_is_no_token():
    house = quiet_house()
    async with house.client(headers={"Authorization": "Basic dTpw"}) as client:
        assert (await client.get("/api/health")).status_code == 401
        await client.post("/login", data={"token": TOKEN}, headers={"Origin": HERE})
        assert (await client.get("/api/health")).status_code == 200
    house = quiet_house(authorize=lambda connection: "ann" if connection.headers.get("authorization") == "Basic dTpw" else None)
    async with house.client(headers={"Authorization": "Basic dTpw"}) as client:
        assert (await client.get("/api/health")).status_code == 200


@story
async def test_a_sign_in_that_fails_lets_nobody_in_and_is_told_once_a_minute(caplog):
    def broken(connection):
        raise RuntimeError("the users' database is away")

    house = quiet_house(token=None, authorize=broken)
    async with house.client(headers={}) as client:
        for _ in range(5):
            answer = await client.get("/api/health")
            assert (answer.status_code, answer.json()["code"]) == (503, "sign_in_failed")
            assert "content-security-policy" in answer.headers
    assert len([record for record in caplog.records if record.name == "sleeves.dashboard"]) == 1


@story
async def test_under_https_the_cookie_is_secure():
    house = quiet_house(hosts=["bots.example.com"])
    transport = httpx.ASGITransport(house.app)
    async with httpx.AsyncClient(transport=transport, base_url="https://bots.example.com") as client:
        answer = await client.get(f"/login?token={TOKEN}")
        assert "Secure" in answer.headers["set-cookie"]


@story
async def test_a_host_apps_own_sign_in_stands_in_for_the_token_and_its_name_is_the_instructions():
    async def who(connection):
        await anyio.sleep(0)
        return connection.headers.get("x-user")

    house = quiet_house(token=None, authorize=who)
    assert house.app.state.token is None
    async with house.client(headers={}) as client:
        assert (await client.get("/api/health")).status_code == 401
        assert (await client.get("/")).status_code == 401
        assert (await client.get("/login")).status_code == 404
        assert (await client.get("/api/health", headers={"X-User": "ann@example.com"})).status_code == 200
        assert (await client.get("/api/health", headers={"X-User": "ann\x7f"})).status_code == 403
        pause = {"what": "pause", "id": "p-1", "target": "quiet", "by": "somebody else"}
        assert (await instructed(client, pause, **{"X-User": "ann@example.com"})).status_code == 403, "no origin"
        assert (await instructed(client, pause, **{"X-User": "ann@example.com", "Origin": HERE})).status_code == 200
    assert {record.by for record in house.journal if type(record).__name__ == "Instructed"} == {"ann@example.com"}


@story
async def test_a_token_may_stand_beside_a_host_apps_sign_in():
    house = quiet_house(authorize=lambda connection: connection.headers.get("x-user"))
    async with house.client(headers={}) as client:
        assert (await client.get("/api/health", headers=BEARER)).status_code == 200
        assert (await client.get("/api/health", headers={"X-User": "ann"})).status_code == 200
        assert (await client.get("/api/health", headers={"X-User": "ann", "Authorization": "Bearer wrong"})).status_code == 401


# -- the page --------------------------------------------------------------------------------------------------------------


@story
async def test_each_answer_tells_browsers_what_to_heed(house):
    async with house.client() as client:
        for path in ("/", "/login", "/api/snapshot", "/static/index.js", "/nowhere", "/api/journal"):
            answer = await client.get(path)
            policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
            assert policy["default-src"] == "'none'"
            assert policy["script-src"] == "'self'"
            assert policy["frame-ancestors"] == "'self'"
            assert "unsafe" not in answer.headers["content-security-policy"]
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["cache-control"] == ("private, no-cache" if "static" in path else "no-store")


@story
async def test_frames_are_the_origins_that_were_said_and_nothing_else_goes_into_the_header():
    async with quiet_house(frames=["https://app.example"]).client() as client:
        answer = await client.get("/")
        assert "frame-ancestors 'self' https://app.example:443" in answer.headers["content-security-policy"]
    for hostile in ("https://a.example; script-src *", "*", "https://a.example\r\nX: y"):
        with pytest.raises(VaultError):
            quiet_house(frames=[hostile])


@story
async def test_every_file_of_the_page_is_served_as_it_is_and_no_other():
    house = quiet_house()
    async with house.client() as client:
        served = 0
        for path in STATIC.rglob("*"):
            if path.is_file():
                answer = await client.get(f"/static/{path.relative_to(STATIC).as_posix()}")
                assert answer.content == path.read_bytes()
                kind = {"js": "text/javascript", "css": "text/css", "html": "text/html"}.get(path.suffix[1:], "text/plain")
                assert answer.headers["content-type"].startswith(kind)
                served += 1
        assert served > 10
        page = (await client.get("/")).text
        for address in re.findall(r'(?:src|href)="(static/[^"]+)"', page):
            answer = await client.get("/" + address)
            assert answer.status_code == 200
            assert "immutable" in answer.headers["cache-control"]
        assert "<script>" not in page
        assert not re.search(r"\son[a-z]+=|style=", page)


@pytest.mark.parametrize(
    "path",
    [
        "../app.py",
        "..%2fapp.py",
        "%2e%2e/app.py",
        "....//app.py",
        "..\\app.py",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "vendor/../../app.py",
        "index.js%00.html",
        "",
        "vendor",
        "vendor/",
        "x" * 5_000,
        "000000000000/index.js",
    ],
)
@story
async def test_no_path_leads_out_of_the_pages_files(path):
    house = quiet_house()
    async with house.client() as client:
        answer = await client.get(f"/static/{path}")
        assert answer.status_code == 404
        raw = {"type": "http", "method": "GET", "scheme": "http", "path": f"/static/{path}", "query_string": b"", "root_path": ""}
        raw |= {
            "headers": [(b"host", b"127.0.0.1:8000"), (b"authorization", f"Bearer {TOKEN}".encode())],
            "raw_path": b"",
            "http_version": "1.1",
        }
        told = []

        async def receive():
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message):
            told.append(message)

        await house.app(raw, receive, send)
        assert told[0]["status"] == 404


@story
async def test_a_file_that_a_browser_has_is_not_sent_again_and_is_packed_where_it_may_be():
    async with quiet_house().client() as client:
        first = await client.get("/static/store.js", headers={"Accept-Encoding": "identity"})
        assert "content-encoding" not in first.headers
        again = await client.get("/static/store.js", headers={"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert (await client.get("/static/store.js", headers={"If-None-Match": '"other"'})).status_code == 200
        packed = await client.get("/static/store.js", headers={"Accept-Encoding": "gzip"})
        assert packed.headers["content-encoding"] == "gzip"
        assert packed.content == first.content
        assert "Accept-Encoding" in packed.headers["vary"]


# -- data ------------------------------------------------------------------------------------------------------------------


@story
async def test_the_snapshot_is_the_feeds_and_names_are_text(house):
    async with house.client() as client:
        answer = await client.get("/api/snapshot")
        snapshot = from_json(answer.content, side="server")
        assert snapshot.commands is True
        assert plain(snapshot.tables) == plain(Feed(house.stand.desk, venues=[house.stand.venue]).snapshot().tables)
        assert answer.json()["tables"]["sleeves"]["flash"]["engine"] == MARKUP
        assert answer.headers["content-type"] == "application/json"


@story
async def test_markets_say_what_is_known_and_nothing_else(house):
    async with house.client() as client:
        body = (await client.get("/api/markets")).json()
        by_symbol = {row["symbol"]: row for row in body["markets"]}
        assert set(by_symbol) == {"BTC/USD", "BTC-PERP"}
        assert by_symbol["BTC/USD"]["funding"] is None
        assert by_symbol["BTC-PERP"]["funding"]["rate"] == "0.01"
        assert by_symbol["BTC-PERP"]["funding"]["open_interest"] is None
        assert body["stats"] == {
            "markets": 2,
            "priced": 2,
            "with_funding": 1,
            "open_interest_known": 0,
            "highest_apr": "BTC-PERP",
            "lowest_apr": "BTC-PERP",
        }
    async with House(make_desk(contracts=False)).client() as client:
        body = (await client.get("/api/markets")).json()
        assert body["stats"]["priced"] == 0
        assert body["markets"][0]["mark"] is None


@story
async def test_health_is_the_pulses():
    pulse = Pulse()
    house = quiet_house(pulse=pulse)
    async with house.client() as client:
        body = (await client.get("/api/health")).json()
        told = pulse.snapshot(house.stand.desk)
        assert (body["ok"], body["why"], body["statuses"]) == (told.ok, list(told.why), dict(told.statuses))
        house.stand.desk.kill(house.stand.desk, flatten=False, by="ann")
        assert (await client.get("/api/health")).json()["statuses"]["desk:main"] == "halted"


@story
async def test_explain_is_the_desks_own_to_the_unit(house):
    desk = house.stand.desk
    async with house.client() as client:
        for name in house.stand.sleeves:
            told, body = desk.explain(name), (await client.get(f"/api/explain/{name}")).json()
            assert body["end"] == (None if told.end is None else told.end.text)
            assert [(line["cause"], line["amount"]) for line in body["lines"]] == [(line.cause, line.amount.text) for line in told.lines]
            assert body["exact"] is told.exact
            await anyio.sleep(0.01)
            if name == "swing":
                break
        assert (await client.get("/api/explain/nobody")).status_code == 404
        assert (await client.get("/api/explain/quiet?since_ms=x")).status_code == 400
        middle = desk.books.now // 2_000_000 + next(iter(desk.books.journal)).at // 2_000_000
        part = await client.get(f"/api/explain/quiet?since_ms={middle}")
        assert part.json()["since_ms"] == middle


@story
async def test_the_journal_is_read_from_any_number_on(house):
    count = len(house.journal)
    async with house.client() as client:
        assert count > 150
        last = (await client.get("/api/journal")).json()
        assert (last["length"], last["after"], last["next"]) == (count, max(0, count - 200), count)
        seen, after = [], 0
        while True:
            body = (await client.get(f"/api/journal?after={after}&limit=100")).json()
            seen += body["records"]
            if body["next"] == after:
                break
            after = body["next"]
        assert [one["n"] for one in seen] == list(range(1, count + 1))
        from sleeves.codec import encode

        assert [one["record"] for one in seen] == [json.loads(encode(record)) for record in house.journal]
        assert (await client.get("/api/journal?after=999999999")).json()["records"] == []
        assert len((await client.get("/api/journal?after=0&limit=99999")).json()["records"]) == min(count, 1_000)
        for bad in ("after=-1", "after=1e3", "limit=x", "after=" + "9" * 40, "after=%C2%B2"):
            assert (await client.get(f"/api/journal?{bad}")).status_code == 400


@story
async def test_a_journal_on_disk_is_read_as_well(tmp_path):
    from sleeves import Books

    with SQLite.open(tmp_path / "j.db") as journal:
        stand = make_desk(engines=2, contracts=False, books=Books(journal))
        stand.play(30)
        async with House(stand).client() as client:
            body = (await client.get("/api/journal?after=0&limit=5")).json()
            assert [one["n"] for one in body["records"]] == [1, 2, 3, 4, 5]
            told = stand.desk.explain("quiet")
            assert (await client.get("/api/explain/quiet")).json()["end"] == (None if told.end is None else told.end.text)


@story
async def test_one_session_cannot_ask_without_end(house):
    async with house.client() as client:
        statuses = [(await client.get("/api/health")).status_code for _ in range(200)]
        assert 429 in statuses
        folds = [(await client.get("/api/explain/quiet")).status_code for _ in range(12)]
        assert folds.count(200) <= 6
        assert 429 in folds


# -- instructions ----------------------------------------------------------------------------------------------------------


@story
async def test_a_page_that_only_shows_takes_nothing(house):
    reader = House(house.stand, commands=False)
    count = len(reader.journal)
    async with reader.client() as client:
        assert (await client.get("/api/snapshot")).json()["commands"] is False
        for answer in (
            await client.post("/api/preview", json={"type": "preview", "instruction": BUY}),
            await instructed(client, {"what": "kill", "id": "k", "target": "desk:main", "flatten": True}),
            await client.get("/api/instructions/k"),
        ):
            assert (answer.status_code, answer.json()["code"]) == (403, "read_only")
    assert len(reader.journal) == count


@story
async def test_what_takes_risk_goes_with_the_ticket_of_its_preview_once(house):
    async with house.client() as client:
        bare = await instructed(client, {**BUY, "id": "r-0"})
        assert (bare.status_code, bare.json()["code"]) == (428, "needs_ticket")
        seen = await previewed(client, BUY)
        assert seen["ok"], seen
        count = len(house.journal)
        other = await instructed(client, {**BUY, "qty": "0.02"}, seen["ticket"])
        assert (other.status_code, other.json()["code"]) == (409, "ticket_mismatch")
        for forged in ("x" * 32, seen["ticket"][:-1] + ("A" if seen["ticket"][-1] != "A" else "B")):
            answer = await instructed(client, BUY, forged)
            assert (answer.status_code, answer.json()["code"]) == (410, "ticket_expired")
        assert len(house.journal) == count, "nothing was instructed so far"
        answer = await instructed(client, BUY, seen["ticket"])
        assert answer.status_code == 202
        assert answer.json()["ok"]
        orders = len(house.stand.desk.open_orders())
        again = await instructed(client, BUY, seen["ticket"])
        assert again.json()["id"] == "r-1"
        assert len(house.stand.desk.open_orders()) == orders, "the same id is done once"
        changed = await instructed(client, {**BUY, "qty": "0.02"}, seen["ticket"])
        assert changed.json()["code"] in ("id_used", "ticket_mismatch", "ticket_expired")
        replayed = await instructed(client, {**BUY, "id": "r-2"}, seen["ticket"])
        assert replayed.json()["code"] == "ticket_expired"
        assert len(house.stand.desk.open_orders()) == orders


@story
async def test_a_ticket_is_good_for_its_own_session_and_not_for_long(house):
    clock = [0.0]
    house.app.state.clerk.tickets._clock = lambda: clock[0]
    async with house.client() as program, house.client(headers={"Origin": HERE}) as browser:
        await browser.get(f"/login?token={TOKEN}")
        seen = await previewed(program, BUY)
        assert (await instructed(browser, BUY, seen["ticket"])).json()["code"] == "ticket_mismatch"
        clock[0] += 30.1
        assert (await instructed(program, BUY, seen["ticket"])).json()["code"] == "ticket_expired"
        fresh = await previewed(program, BUY)
        assert fresh["expires_ms"] >= seen["expires_ms"]
        assert (await instructed(program, BUY, fresh["ticket"])).json()["ok"]


@pytest.mark.parametrize(
    "terms",
    [
        {"what": "pause", "target": "quiet"},
        {"what": "stop", "sleeve": "quiet"},
        {"what": "disarm", "venue": "sim"},
        {"what": "kill", "target": "quiet", "flatten": True},
        {"what": "cancel", "order": "quiet-1"},
        {"what": "decline", "confirmation": "c-1"},
    ],
)
@story
async def test_what_only_takes_risk_away_needs_no_ticket(terms, house):
    async with house.client() as client:
        answer = await instructed(client, {**terms, "id": "s-1"})
        assert answer.status_code in (200, 202), answer.text
        assert answer.json()["type"] == "answer"
        assert (await previewed(client, {**terms, "id": "s-2"}))["ticket"] is None


@story
async def test_a_deposit_moves_money_on_the_books_and_its_outcome_is_told(house):
    terms = {"what": "deposit", "id": "d-1", "vault": VAULT, "amount": "250.5"}
    async with house.client() as client:
        seen = await previewed(client, terms)
        assert float(seen["after"]["total"].split()[0]) - float(seen["before"]["total"].split()[0]) == 250.5
        sent = await instructed(client, terms, seen["ticket"])
        assert (sent.status_code, sent.json()["open"]) == (202, True)
        asked = asyncio.create_task(client.get("/api/instructions/d-1?wait=20"))
        await anyio.sleep(0.05)
        await house.drained()
        became = await asked
        assert (became.status_code, became.json()["code"]) == (200, "confirmed")
        assert seen["after"]["total"] == str(house.stand.vault.total)
        assert (await client.get("/api/instructions/d-1")).json()["code"] == "confirmed"
        assert (await client.get("/api/instructions/nobody-gave-this")).status_code == 404
        assert (await client.get("/api/instructions/d-1?wait=soon")).status_code == 400


@story
async def test_who_instructs_is_said_by_the_server_and_by_nobody_else(house):
    async with house.client() as client:
        assert (await instructed(client, {"what": "pause", "id": "p-1", "target": "quiet", "by": "the owner"})).status_code == 200
    by = [record.by for record in house.journal if type(record).__name__ == "Instructed"]
    assert by == ["page"]


HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "../../etc/passwd",
    "quiet\r\nSet-Cookie: a=b",
    "'; DROP TABLE records;--",
    "\u202equiet",
    "x" * 5_000,
]
HOSTILE += ["\x00", "${jndi:ldap://a}", "quiet\n", "１２"]


@pytest.mark.parametrize("text", HOSTILE)
@story
async def test_hostile_text_in_an_instruction_is_refused_before_it_is_anything(text, house):
    count = len(house.journal)
    async with house.client() as client:
        for terms in (
            {"what": "pause", "id": "p", "target": text},
            {"what": text, "id": "p", "target": "quiet"},
            {"what": "pause", "id": text, "target": "quiet"},
            {"what": "pause", "id": "p", "target": "quiet", text: "x"},
            {**BUY, "qty": text},
            {**BUY, "market": text},
        ):
            for path, kind in (("/api/preview", "preview"), ("/api/instructions", "do")):
                answer = await client.post(path, json={"type": kind, "instruction": terms})
                assert answer.status_code in (400, 404, 422), answer.text
                assert answer.json()["code"] in ("bad_instruction", "bad_message"), answer.text
                assert "set-cookie" not in answer.headers
    assert len(house.journal) == count


BROKEN = [
    b"",
    b"{",
    b"[]",
    b"null",
    b'"do"',
    b"\xff\xfe\x00",
    b'{"type":"do"}',
    b'{"type":"do","instruction":[]}',
    b'{"type":"do","instruction":{},"more":1}',
    b'{"type":"ping"}',
    b'{"type":"hello"}',
    b'{"type":"do","instruction":{"what":"pause","id":"p","target":NaN}}',
    b'{"type":"do","instruction":{"what":"pause","id":"p","id":"q","target":"quiet"}}',
    b"[" * 10_000,
    b'{"type":"do","instruction":{"what":"kill","id":"k","target":"desk:main","flatten":1e400}}',
]


@pytest.mark.parametrize("body", BROKEN)
@story
async def test_what_is_no_message_is_refused(body, house):
    count = len(house.journal)
    async with house.client() as client:
        for path in ("/api/preview", "/api/instructions"):
            answer = await client.post(path, content=body)
            assert answer.status_code in (400, 422), answer.text
            assert answer.json()["code"] in ("bad_message", "bad_instruction")
    assert len(house.journal) == count


@story
async def test_a_message_that_is_too_large_is_not_read_to_its_end(house):
    read = 0

    async def endless():
        nonlocal read
        while True:
            read += 4_096
            yield b" " * 4_096

    async with house.client() as client:
        answer = await client.post("/api/instructions", content=b" " * (LARGEST + 1))
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
        answer = await client.post("/api/instructions", content=endless())
        assert answer.status_code == 413
        assert read <= LARGEST + 3 * 4_096


@story
async def test_previews_and_instructions_have_their_rates(house):
    count = len(house.journal)
    async with house.client() as client:
        found = [(await previewed(client, {**BUY, "id": f"r-{n}"}))["type"] for n in range(30)]
        assert found.count("preview") < 30
        assert "refused" in found
        statuses = [(await instructed(client, {**BUY, "id": f"x-{n}"})).status_code for n in range(200)]
        assert set(statuses) <= {428, 429}
        assert 429 in statuses
    assert len(house.journal) == count


@story
async def test_nothing_that_is_secret_is_logged(house, caplog):
    caplog.set_level(logging.DEBUG)
    async with house.client(headers={}) as client:
        await client.get(f"/login?token={TOKEN}")
        await client.post("/login", data={"token": TOKEN}, headers={"Origin": HERE})
        await client.get("/api/health", headers=BEARER)
        await client.get("/api/health", headers={"Authorization": f"Bearer {TOKEN}x"})
        cookie = next(iter(client.cookies.values()))
    told = "\n".join(f"{record.name} {record.getMessage()}" for record in caplog.records if not record.name.startswith("httpx"))
    assert TOKEN not in told
    assert cookie not in told
    assert TOKEN not in repr(house.app) + repr(house.app.state._state) + repr(vars(house.app.state.guard))


# -- what is handed in -----------------------------------------------------------------------------------------------------


def test_terms_that_cannot_be_are_refused_at_once():
    stand, other = make_desk(contracts=False), make_desk(contracts=False)
    with pytest.raises(VaultError, match="Control of this desk"):
        app(stand.desk, control=Control(other.desk, other.venue))
    with pytest.raises(VaultError, match="16 to 256") as raised:
        app(stand.desk, token="hunter2")
    assert "hunter2" not in str(raised.value)
    with pytest.raises(VaultError, match="Feed of this desk"):
        app(stand.desk, feed=Feed(other.desk))
    feed = Feed(stand.desk)
    app(stand.desk, feed=feed)
    with pytest.raises(VaultError, match="a feed of its own"):
        app(stand.desk, feed=feed)
    with pytest.raises(VaultError):
        app(stand.desk, by="<b>")
    with pytest.raises(VaultError):
        app(stand.desk, origins=["app.example"])


def test_an_app_makes_a_token_where_none_is_given_and_never_the_same():
    stand = make_desk(contracts=False)
    one, two = app(stand.desk), app(stand.desk)
    assert one.state.token.reveal() != two.state.token.reveal()
    assert len(one.state.token.reveal()) >= 43
    assert one.state.token.reveal() not in repr(one.state._state)


@story
async def test_a_dead_journal_fails_the_request_and_says_nothing_of_how():
    stand = make_desk(engines=2, contracts=False)
    house = House(stand)

    def broken(*records):
        raise JournalError("disk full at /somewhere/private")

    stand.desk.books.journal.append = broken
    async with house.client() as client:
        answer = await instructed(client, {"what": "pause", "id": "p", "target": "quiet"})
        assert (answer.status_code, answer.json()["code"]) == (503, "dead")
        assert "content-security-policy" in answer.headers
        assert "private" not in answer.text


def test_a_desk_of_money_alone_is_shown_too():
    async def main():
        desk = Desk(CoreVault(USD, total="10", tradeable="5"))
        made = app(desk, token=TOKEN)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(made), base_url=HERE, headers=BEARER) as client:
            assert (await client.get("/api/snapshot")).json()["tables"]["sleeves"] == {}
            assert (await client.get("/api/markets")).json()["stats"]["highest_apr"] is None

    anyio.run(main)


@pytest.mark.parametrize(
    ("missing", "act", "said"),
    [
        ("starlette", "app(desk)", 'the dashboard needs starlette: python -m pip install "sleeves[dashboard]"'),
        ("uvicorn", "anyio.run(serve, desk)", 'serving the dashboard needs uvicorn: python -m pip install "sleeves[dashboard]"'),
    ],
)
def test_without_its_extra_it_says_what_is_missing_and_no_other_fault_is_taken_for_that(missing, act, said):
    program = f"""
import sys
sys.modules[{missing!r}] = None
import anyio
from sleeves import USD, CoreVault, Desk
from sleeves.dashboard import app, serve
from sleeves.errors import MissingExtra
desk = Desk(CoreVault(USD, total="1", tradeable="1"))
try:
    {act}
except MissingExtra as error:
    print(error)
del sys.modules[{missing!r}]
sys.modules["sleeves.dashboard.openapi"] = None
try:
    app(desk)
except Exception as error:
    print(type(error).__name__)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first.startswith(said), first
    assert second == "ModuleNotFoundError", "a part of ours that is not there is no extra"
