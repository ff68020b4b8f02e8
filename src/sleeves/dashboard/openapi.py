"""The OpenAPI document of the page's addresses: each route, what it takes and what it answers, over the schemas of the messages.

It describes what `routes` does and imports nothing of it; the tests hold the two together, and each answer against this.
"""

from __future__ import annotations

from typing import Any

from .. import __version__
from .messages import LARGEST
from .schema import DIALECT, definitions

__all__ = ["VERSION", "document"]

VERSION = "3.1.0"
ROOT = "#/components/schemas/"

Part = dict[str, Any]


def document(*, server: str = "/", commands: bool = True, sign_in: bool = True) -> Part:
    """The document, for an app that is mounted at `server`; without `commands` an instruction is answered 403, without `sign_in`
    the host app's own sign-in stands before it.
    """
    found = definitions(ROOT)
    return {
        "openapi": VERSION,
        "jsonSchemaDialect": DIALECT,
        "info": {"title": "A desk of sleeves", "version": __version__, "description": _about(commands=commands)},
        "servers": [{"url": server}],
        "security": [{"token": []}, {"sign_in": []}] if sign_in else [{"sign_in": []}],
        "paths": _paths(),
        "components": {"schemas": found | _OWN, "responses": _RESPONSES, "securitySchemes": _schemes(sign_in=sign_in)},
    }


def _about(*, commands: bool) -> str:
    first = "Pictures of one desk, and one WebSocket, `socket` (subprotocol `sleeves.v1`), that tells of each change."
    if not commands:
        return f"{first} This page only shows: instructions are answered 403."
    return (
        f"{first} What takes risk or moves money needs a ticket, which its preview gives for these terms, for half a minute and for once. "
        "The id of an instruction is the caller's own: the same one is carried out at most once, however often it is sent."
    )


def _schemes(*, sign_in: bool) -> Part:
    cookie = {
        "type": "apiKey",
        "in": "cookie",
        "name": "sleeves-*",
        "description": "what `login` set; it needs an Origin to change anything",
    }
    if not sign_in:
        return {"sign_in": cookie | {"name": "host", "description": "the host app's own sign-in"}}
    return {"token": {"type": "http", "scheme": "bearer"}, "sign_in": cookie}


def _ref(name: str) -> Part:
    return {"$ref": ROOT + name}


def _json(schema: Part, about: str, kind: str = "application/json") -> Part:
    return {"description": about, "content": {kind: {"schema": schema}}}


def _no(name: str) -> Part:
    return {"$ref": f"#/components/responses/{name}"}


DOOR = {"401": _no("not_signed_in"), "403": _no("refused"), "421": _no("foreign_host"), "429": _no("too_fast"), "503": _no("dead")}
"""What any address may answer."""


def _get(about: str, name: str, answer: Part, *more: Part, **refusals: Part) -> Part:
    found: Part = {"summary": about, "operationId": name, "responses": {"200": answer, **refusals, **DOOR}}
    return {"get": found | ({"parameters": list(more)} if more else {})}


def _post(about: str, name: str, message: str, answers: Part) -> Part:
    body = {"required": True, "content": {"application/json": {"schema": _ref(message)}}}
    refusals = {code: _json(_ref("server.refused"), text) for code, text in _REFUSED.items()}
    return {"post": {"summary": about, "operationId": name, "requestBody": body, "responses": {**answers, **refusals, **DOOR}}}


_REFUSED = {
    "400": "no message, or another one than this address takes",
    "409": "the ticket was given for something else",
    "410": "the ticket is used, or too old",
    "413": f"more than {LARGEST} bytes",
    "422": "no instruction, or one that breaks a rule",
    "428": "it needs a ticket",
}


def _query(name: str, about: str) -> Part:
    return {"name": name, "in": "query", "required": False, "schema": {"type": "integer", "minimum": 0}, "description": about}


def _in_path(name: str, about: str) -> Part:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}, "description": about}


def _paths() -> dict[str, Part]:
    html = {"description": "the page", "content": {"text/html": {"schema": {"type": "string"}}}}
    moved: Part = {"303": {"description": "where to go on"}}
    unknown = {"404": _no("unknown")}
    answer = _json(_ref("server.answer"), "what it was answered, or became of it")
    later = _json(_ref("server.answer"), "what it was answered; more is to come")
    bad_query = {"400": _no("bad_query")}
    form = {"content": {"application/x-www-form-urlencoded": {"schema": {"type": "object", "properties": {"token": {"type": "string"}}}}}}
    after_login = {**moved, "401": html, "403": _no("refused"), "421": _no("foreign_host"), "429": html, **unknown}
    page = _get("The page", "page", html)
    page["get"]["responses"] |= moved | {"307": {"description": "the same with a slash behind it"}}
    files = _get(
        "A file of the page",
        "file",
        {"description": "the file", "content": {"*/*": {"schema": {}}}},
        _in_path("path", "its path, which may have slashes; the build may stand before it"),
        **unknown,
    )
    files["get"]["responses"]["304"] = {"description": "as it was"}
    standing = _get(
        "How an instruction stands",
        "instruction",
        answer,
        _in_path("id", "the instruction's own id"),
        _query("wait", "wait so many seconds for what becomes of it, 60 at most"),
        **{"202": later},
        **unknown,
        **bad_query,
    )
    return {
        "/": page,
        "/login": {
            "get": {
                "summary": "The form for the token; with the token in the query it signs in and leads away",
                "operationId": "login_form",
                "security": [],
                "parameters": [{"name": "token", "in": "query", "required": False, "schema": {"type": "string"}}],
                "responses": {"200": html, **after_login},
            },
            "post": {"summary": "Sign in", "operationId": "login", "security": [], "requestBody": form, "responses": after_login},
        },
        "/login.css": {
            "get": {
                "summary": "What the form looks like",
                "operationId": "login_style",
                "security": [],
                "responses": {
                    "200": {"description": "the style", "content": {"text/css": {"schema": {"type": "string"}}}},
                    "421": _no("foreign_host"),
                },
            }
        },
        "/logout": {"post": {"summary": "Sign out", "operationId": "logout", "responses": {**moved, **DOOR}}},
        "/static/{path}": files,
        "/api/snapshot": _get("All of it as it stands", "snapshot", _json(_ref("server.snapshot"), "a snapshot, as on the socket")),
        "/api/markets": _get("Instruments, their prices and funding", "markets", _json(_ref("markets"), "what is known, and nothing else")),
        "/api/health": _get("How the desk and its run stand", "health", _json(_ref("health"), "well where `ok`, else `why` not")),
        "/api/explain/{sleeve}": _get(
            "Why a sleeve's equity went where it is",
            "explain",
            _json(_ref("waterfall"), "start, causes and end; the causes add up"),
            _in_path("sleeve", "the sleeve's name"),
            _query("since_ms", "from when on, in milliseconds since 1970"),
            _query("until_ms", "until when"),
            **unknown,
            **bad_query,
        ),
        "/api/journal": _get(
            "Records of the journal",
            "journal",
            _json(_ref("records"), "the records behind `after`, oldest first; `next` is the `after` that goes on"),
            _query("after", "the number of the record to begin behind; without it the last ones"),
            _query("limit", "how many at most, 1000 or less (200 without it)"),
            **bad_query,
        ),
        "/api/preview": _post(
            "What an instruction would do", "preview", "page.preview", {"200": _json(_ref("server.preview"), "the numbers, and a ticket")}
        ),
        "/api/instructions": _post("Carry out an instruction", "instruct", "page.do", {"200": answer, "202": later}),
        "/api/instructions/{id}": standing,
        "/api/schema": _get(
            "JSON Schema of every message and instruction", "schema", _json({"type": "object"}, "the schema", "application/schema+json")
        ),
        "/api/openapi.json": _get("This document", "openapi", _json({"type": "object"}, "this document")),
    }


# -- answers that are no messages --------------------------------------------------------------------------------------------


def _object(about: str, properties: Part, optional: frozenset[str] = frozenset()) -> Part:
    needed = [name for name in properties if name not in optional]
    return {"type": "object", "description": about, "properties": properties, "required": needed, "additionalProperties": False}


def _map(of: Part) -> Part:
    return {"type": "object", "additionalProperties": of}


def _list(of: Part) -> Part:
    return {"type": "array", "items": of}


def _or_null(of: Part) -> Part:
    return {"anyOf": [of, {"type": "null"}]}


TEXT: Part = {"type": "string"}
WHOLE: Part = {"type": "integer", "minimum": 0}
SECONDS: Part = {"type": "number"}
EXACT: Part = {"type": "string", "pattern": r"^-?[0-9]+(?:\.[0-9]+)?$"}

_OWN: dict[str, Part] = {
    "error": _object("Why an answer is no.", {"code": TEXT, "message": TEXT}),
    "markets": _object(
        "Instruments and what is known of them; what is not is null.",
        {
            "at_ms": WHOLE,
            "markets": _list(
                {
                    "allOf": [
                        {"type": "object", "properties": {"symbol": TEXT, "funding": _or_null(_ref("row.FundingRow"))}},
                        {"type": "object", "required": ["symbol", "bid", "ask", "mark", "mark_ms", "tick", "lot", "change_pct", "funding"]},
                    ]
                }
            ),
            "stats": _object(
                "Counts, and the symbols with the highest and the lowest funding rate.",
                {
                    "markets": WHOLE,
                    "priced": WHOLE,
                    "with_funding": WHOLE,
                    "open_interest_known": WHOLE,
                    "highest_apr": _or_null(TEXT),
                    "lowest_apr": _or_null(TEXT),
                },
            ),
        },
    ),
    "health": _object(
        "How a desk and its run stand. Times are seconds; null is never, or nothing to tell.",
        {
            "at_ms": WHOLE,
            "ok": {"type": "boolean"},
            "why": _list(TEXT),
            "statuses": _map(TEXT),
            "latches": _map(_list(TEXT)),
            "faults": _map(TEXT),
            "price_ages": _map(SECONDS),
            "reconciled_ages": _map(_or_null(SECONDS)),
            "silences": _map(_or_null(SECONDS)),
            "in_doubt": _list(TEXT),
            "residuals": _list(TEXT),
            "quarantine": WHOLE,
            "waiting": WHOLE,
            "alerts": _map(WHOLE),
            "median_lag": _or_null(SECONDS),
            "p99_lag": _or_null(SECONDS),
            "flattening": _list(TEXT),
        },
    ),
    "waterfall": _object(
        "Why a sleeve's equity went from `start` to `end`: null where a position had no mark then.",
        {
            "sleeve": TEXT,
            "asset": _or_null(TEXT),
            "since_ms": _or_null(WHOLE),
            "until_ms": _or_null(WHOLE),
            "start": _or_null(EXACT),
            "end": _or_null(EXACT),
            "exact": {"type": "boolean"},
            "lines": _list(
                _object(
                    "One cause, and the journal's records of it.",
                    {
                        "cause": TEXT,
                        "amount": EXACT,
                        "records": _object("How many there are, the first and the last.", {"count": WHOLE, "first": WHOLE, "last": WHOLE}),
                    },
                )
            ),
        },
    ),
    "records": _object(
        "Records of the journal, each with its number from 1.",
        {
            "length": WHOLE,
            "after": WHOLE,
            "next": WHOLE,
            "records": _list(_object("One record, as the journal writes it.", {"n": WHOLE, "record": {"type": "object"}})),
        },
    ),
}

_RESPONSES: dict[str, Part] = {
    "not_signed_in": _json(_ref("error"), "nobody known: sign in, or send the token as a Bearer"),
    "dead": _json(_ref("error"), "the journal failed, so the desk is dead; or the host app's own sign-in failed"),
    "refused": _json({"anyOf": [_ref("error"), _ref("server.refused")]}, "not from this origin; or this page only shows"),
    "foreign_host": _json(_ref("error"), "this page does not answer to that host name"),
    "too_fast": _json({"anyOf": [_ref("error"), _ref("server.refused")]}, "too much at once"),
    "bad_query": _json(_ref("error"), "a field of the query is no number"),
    "unknown": _json(_ref("error"), "there is none of that name"),
}
