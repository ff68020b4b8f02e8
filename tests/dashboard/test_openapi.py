"""The OpenAPI document: it obeys the rules of OpenAPI 3.1, names every address and no other, and each answer is as it says."""

from __future__ import annotations

import re

import httpx
import pytest
from jsonschema import Draft202012Validator
from stand import make_desk
from starlette.routing import Route, WebSocketRoute
from test_app import BEARER, BUY, HERE, House, previewed, story

from sleeves.dashboard import app
from sleeves.dashboard.openapi import document
from sleeves.dashboard.routes import STATUS
from sleeves.instructions import INSTRUCTIONS

METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}

# The rules of OpenAPI 3.1.0 as far as this document uses them, written down from its text: sections 4.8.1 to 4.8.27.
TEXT = {"type": "string"}
REFERENCE = {"type": "object", "properties": {"$ref": {"type": "string", "pattern": "^#/components/"}}, "required": ["$ref"]}


def either(part):
    return {"anyOf": [REFERENCE, part]}


def closed(properties, *required, patterns=None):
    more = {"patternProperties": {"^x-": {}, **(patterns or {})}}
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False, **more}


MEDIA = closed({"schema": {"type": "object"}, "example": {}, "examples": {}, "encoding": {}})
CONTENT = {"type": "object", "patternProperties": {r"^[^/\s]+/[^/\s]+$": MEDIA}, "additionalProperties": False, "minProperties": 1}
RESPONSE = closed({"description": TEXT, "headers": {"type": "object"}, "content": CONTENT, "links": {"type": "object"}}, "description")
RESPONSES = {
    "type": "object",
    "patternProperties": {r"^([1-5][0-9][0-9]|[1-5]XX|default)$": either(RESPONSE)},
    "additionalProperties": False,
}
PARAMETER = closed(
    {
        "name": TEXT,
        "in": {"enum": ["query", "header", "path", "cookie"]},
        "description": TEXT,
        "required": {"type": "boolean"},
        "schema": {"type": "object"},
    },
    "name",
    "in",
    "schema",
) | {"if": {"properties": {"in": {"const": "path"}}}, "then": {"properties": {"required": {"const": True}}, "required": ["required"]}}
BODY = closed({"description": TEXT, "content": CONTENT, "required": {"type": "boolean"}}, "content")
SECURITY = {"type": "array", "items": {"type": "object", "additionalProperties": {"type": "array", "items": TEXT}}}
OPERATION = closed(
    {
        "tags": {"type": "array", "items": TEXT},
        "summary": TEXT,
        "description": TEXT,
        "operationId": TEXT,
        "parameters": {"type": "array", "items": either(PARAMETER)},
        "requestBody": either(BODY),
        "responses": RESPONSES | {"minProperties": 1},
        "security": SECURITY,
    },
    "responses",
)
PATH = closed({"summary": TEXT, "description": TEXT, **dict.fromkeys(METHODS, OPERATION), "parameters": {"type": "array"}})
SCHEME = {
    "oneOf": [
        closed({"type": {"const": "http"}, "scheme": TEXT, "bearerFormat": TEXT, "description": TEXT}, "type", "scheme"),
        closed(
            {"type": {"const": "apiKey"}, "in": {"enum": ["query", "header", "cookie"]}, "name": TEXT, "description": TEXT},
            "type",
            "in",
            "name",
        ),
    ]
}


def named(of):
    return {"type": "object", "patternProperties": {r"^[a-zA-Z0-9.\-_]+$": of}, "additionalProperties": False}


COMPONENTS = closed(
    {
        "schemas": named({"type": ["object", "boolean"]}),
        "responses": named(either(RESPONSE)),
        "parameters": named(either(PARAMETER)),
        "requestBodies": named(either(BODY)),
        "securitySchemes": named(either(SCHEME)),
    }
)
OPENAPI = closed(
    {
        "openapi": {"type": "string", "pattern": r"^3\.1\.[0-9]+$"},
        "jsonSchemaDialect": {"type": "string", "pattern": "^https?:"},
        "info": closed({"title": TEXT, "summary": TEXT, "description": TEXT, "version": TEXT}, "title", "version"),
        "servers": {"type": "array", "items": closed({"url": TEXT, "description": TEXT}, "url")},
        "paths": {"type": "object", "patternProperties": {"^/": PATH}, "additionalProperties": False},
        "components": COMPONENTS,
        "security": SECURITY,
        "tags": {"type": "array"},
    },
    "openapi",
    "info",
    "paths",
)


def references(part):
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        for one in part.values():
            yield from references(one)
    elif isinstance(part, list):
        for one in part:
            yield from references(one)


def resolved(whole, part):
    while isinstance(part, dict) and "$ref" in part:
        found = whole
        for step in part["$ref"].removeprefix("#/").split("/"):
            found = found[step.replace("~1", "/").replace("~0", "~")]
        part = found
    return part


@pytest.mark.parametrize("terms", [{}, {"commands": False}, {"sign_in": False}, {"server": "/bots/"}])
def test_the_document_obeys_the_rules(terms):
    made = document(**terms)
    Draft202012Validator.check_schema(OPENAPI)
    errors = sorted(Draft202012Validator(OPENAPI).iter_errors(made), key=lambda error: list(error.path))
    assert not errors, [(list(error.path), error.message[:200]) for error in errors[:5]]
    for name, schema in made["components"]["schemas"].items():
        Draft202012Validator.check_schema(schema), name
    for reference in references(made):
        assert resolved(made, {"$ref": reference}) is not None
    schemes = set(made["components"]["securitySchemes"])
    assert all(set(one) <= schemes for one in made["security"])
    ids = [operation["operationId"] for path in made["paths"].values() for operation in path.values()]
    assert len(ids) == len(set(ids))
    for path, operations in made["paths"].items():
        for operation in operations.values():
            inside = {one["name"] for one in operation.get("parameters", []) if one["in"] == "path"}
            assert inside == set(re.findall(r"\{(\w+)\}", path))


def test_the_rules_find_what_is_wrong():
    for spoil in (
        lambda one: one.pop("info"),
        lambda one: one["paths"].__setitem__("no-slash", {}),
        lambda one: one["paths"]["/"]["get"].pop("responses"),
        lambda one: one["paths"]["/"]["get"]["responses"].__setitem__("ok", {"description": "x"}),
        lambda one: one["components"]["schemas"].__setitem__("a b", {}),
        lambda one: one["paths"]["/"]["get"].__setitem__("more", 1),
    ):
        made = document()
        spoil(made)
        assert list(Draft202012Validator(OPENAPI).iter_errors(made))


def test_every_address_is_named_and_no_other():
    routes = app(make_desk(contracts=False).desk).routes
    there = {
        (re.sub(r":\w+\}", "}", one.path), method.lower()) for one in routes if isinstance(one, Route) for method in one.methods - {"HEAD"}
    }
    named_ones = {(path, method) for path, operations in document()["paths"].items() for method in operations}
    assert named_ones == there
    assert [one.path for one in routes if isinstance(one, WebSocketRoute)] == ["/socket"]


def test_every_instruction_and_message_is_in_it():
    schemas = document()["components"]["schemas"]
    assert {f"instruction.{name}" for name in INSTRUCTIONS} <= set(schemas)
    assert {"server.snapshot", "server.delta", "page.do", "page.preview", "server.preview", "server.answer", "server.refused"} <= set(
        schemas
    )


class Described:
    """The document, and whether an answer is as it says."""

    def __init__(self, made):
        self.made = made

    def holds(self, method, path, answer):
        operation = self.made["paths"][path][method]
        status = str(answer.status_code)
        assert status in operation["responses"], f"{method} {path} answered {status}, which is not described: {answer.text[:200]}"
        response = resolved(self.made, operation["responses"][status])
        content = response.get("content")
        if content is None:
            assert not answer.content or status.startswith("3"), (path, status)
            return
        kind = answer.headers["content-type"].partition(";")[0]
        media = content.get(kind) or content.get("*/*")
        assert media is not None, f"{path} answered {kind}, which is not described"
        if kind.endswith("json") and "*/*" not in content:
            schema = {**media["schema"], "components": self.made["components"]}
            errors = list(Draft202012Validator(schema).iter_errors(answer.json()))
            assert not errors, (path, status, [(list(error.path), error.message[:300]) for error in errors[:3]])


@story
async def test_each_address_answers_as_it_is_described():
    stand = make_desk(engines=2, contracts=True, hostile=True)
    stand.play(60)
    house = House(stand)
    async with house.client() as client, house.client(headers={}) as stranger:
        described = Described((await client.get("/api/openapi.json")).json())
        asked = set()

        async def ask(method, path, address=None, of=client, **terms):
            answer = await of.request(method, address or path, **terms)
            described.holds(method.lower(), path, answer)
            asked.add((path, method.lower()))
            return answer.status_code

        assert await ask("GET", "/") == 200
        assert await ask("GET", "/", of=stranger) == 303
        assert await ask("GET", "/login", of=stranger) == 200
        assert await ask("GET", "/login", "/login?token=wrong-wrong-wrong-1", of=stranger) == 401
        assert await ask("GET", "/login.css", of=stranger) == 200
        assert await ask("POST", "/login", of=stranger, data={"token": "wrong"}) == 401
        assert await ask("POST", "/login", of=stranger, data={"token": BEARER["Authorization"][7:]}) == 303
        assert await ask("POST", "/logout", of=stranger, headers={"Origin": HERE}) == 303
        stranger.cookies.clear()
        assert await ask("GET", "/static/{path}", "/static/index.js") == 200
        assert await ask("GET", "/static/{path}", "/static/nothing") == 404
        for path in ("/api/snapshot", "/api/markets", "/api/health", "/api/journal", "/api/schema", "/api/openapi.json"):
            assert await ask("GET", path) == 200
            assert await ask("GET", path, of=stranger) == 401
            assert await ask("GET", path, headers={"Host": "evil.example"}) == 421
        assert await ask("GET", "/api/journal", "/api/journal?after=x") == 400
        for name in ("quiet", "swing", "carry"):
            assert await ask("GET", "/api/explain/{sleeve}", f"/api/explain/{name}") == 200
        assert await ask("GET", "/api/explain/{sleeve}", "/api/explain/nobody") == 404
        for body, status in (
            ({"type": "preview", "instruction": BUY}, 200),
            ({"type": "preview", "instruction": {**BUY, "sleeve": "nobody"}}, 200),
            ({"type": "preview", "instruction": {**BUY, "qty": "much"}}, 422),
            ({"type": "ping"}, 400),
        ):
            assert await ask("POST", "/api/preview", json=body) == status
        assert await ask("POST", "/api/instructions", json={"type": "do", "instruction": BUY}) == 428
        assert await ask("POST", "/api/instructions", json={"type": "do", "instruction": BUY, "ticket": "x"}) == 410
        assert await ask("POST", "/api/instructions", content=b" " * 20_000) == 413
        ticket = (await previewed(client, BUY))["ticket"]
        assert await ask("POST", "/api/instructions", json={"type": "do", "instruction": {**BUY, "qty": "0.02"}, "ticket": ticket}) == 409
        assert await ask("POST", "/api/instructions", json={"type": "do", "instruction": BUY, "ticket": ticket}) == 202
        assert await ask("GET", "/api/instructions/{id}", "/api/instructions/r-1") == 202
        assert await ask("GET", "/api/instructions/{id}", "/api/instructions/none") == 404
        pause = {"type": "do", "instruction": {"what": "pause", "id": "p", "target": "carry"}}
        assert await ask("POST", "/api/instructions", json=pause, headers={"Origin": "https://evil.example"}) == 403
        assert await ask("POST", "/api/instructions", json=pause) == 200
        while await ask("GET", "/api/health") == 200:
            pass
        assert asked == {(path, method) for path, operations in described.made["paths"].items() for method in operations}


@story
async def test_a_page_that_only_shows_answers_as_described_too():
    house = House(make_desk(contracts=False), commands=False)
    async with house.client() as client:
        described = Described((await client.get("/api/openapi.json")).json())
        for path, kind in (("/api/preview", "preview"), ("/api/instructions", "do")):
            answer = await client.post(path, json={"type": kind, "instruction": BUY})
            described.holds("post", path, answer)
            assert answer.status_code == 403
        described.holds("get", "/api/instructions/{id}", await client.get("/api/instructions/x"))
        assert "only shows" in described.made["info"]["description"]


def test_refusals_have_the_statuses_that_are_described():
    responses = set(document()["paths"]["/api/instructions"]["post"]["responses"])
    assert {str(status) for status in STATUS.values()} <= responses


@story
async def test_the_document_says_where_it_is_mounted():
    from starlette.applications import Starlette
    from starlette.routing import Mount

    house = House(make_desk(contracts=False))
    outer = Starlette(routes=[Mount("/bots", house.app)])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(outer), base_url=HERE, headers=BEARER) as client:
        assert (await client.get("/bots/api/openapi.json")).json()["servers"] == [{"url": "/bots/"}]
