"""The JSON Schema and what reads messages are made of the same types: what one takes the other takes, and nothing else."""

from __future__ import annotations

import copy
import json

import pytest
from attrs import NOTHING, fields
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from stand import make_desk
from test_messages import SAID, TOLD

from sleeves.dashboard.feed import Feed
from sleeves.dashboard.messages import CODES, FROM_PAGE, FROM_SERVER, STREAMS, TABLES, BadMessage, from_json, instruction_of, plain, to_json
from sleeves.dashboard.schema import DIALECT, definitions, document, instruction_schema, schema_of
from sleeves.errors import VaultError
from sleeves.instructions import INSTRUCTIONS, from_terms, to_terms
from strategies import heavy, hostile_text

EXAMPLES = {
    "start": {"sleeve": "flash"},
    "stop": {"sleeve": "flash"},
    "deposit": {"vault": "core:main:USD", "amount": "12.5"},
    "withdraw": {"vault": "core:main:USD", "amount": "12.5", "venue": "sim"},
    "allocate": {"sleeve": "flash", "amount": "1"},
    "reclaim": {"sleeve": "flash", "amount": "1"},
    "set_tradeable": {"vault": "core:main:USD", "amount": "1000", "cap": "2000"},
    "open": {"sleeve": "flash", "market": "BTC/USD", "side": "buy", "qty": "0.1", "limit": "9000.5", "post_only": True},
    "close": {"sleeve": "flash", "market": "BTC-PERP"},
    "close_all": {"target": "desk:main"},
    "cancel": {"order": "flash-3"},
    "settle": {"market": "BTC-PERP"},
    "rebalance": {"sleeve": "flash"},
    "pause": {"target": "core:main:USD"},
    "resume": {"target": "flash"},
    "kill": {"target": "desk:main", "flatten": True},
    "revive": {"target": "desk:main", "why": "looked at"},
    "arm": {"venue": "kraken", "per_hour": "1000 USD", "phrase": "arm kraken for 1000 USD an hour", "confirm_within": 60},
    "disarm": {"venue": "kraken"},
    "confirm": {"confirmation": "flash-ask-1"},
    "decline": {"confirmation": "flash-ask-1"},
}


def validator(side, name):
    return Draft202012Validator(schema_of(side, name))


PAGE = {name: validator("page", name) for name in FROM_PAGE}
SERVER = {name: validator("server", name) for name in FROM_SERVER}


def test_the_document_is_a_schema_of_this_draft():
    whole = document()
    Draft202012Validator.check_schema(whole)
    assert whole["$schema"] == DIALECT
    names = {f"server.{one}" for one in FROM_SERVER} | {f"page.{one}" for one in FROM_PAGE} | {f"instruction.{one}" for one in INSTRUCTIONS}
    assert names <= set(whole["$defs"])
    assert {f"row.{kind.__name__}" for kind in (*TABLES.values(), *STREAMS.values())} <= set(whole["$defs"])
    assert json.loads(json.dumps(whole)) == whole, "it can be written"
    used = set()
    _refs(whole, used)
    assert used <= {f"#/$defs/{name}" for name in whole["$defs"]}, "it refers to nothing that is not there"


def _refs(body, used):
    if isinstance(body, dict):
        used |= {body["$ref"]} if "$ref" in body else set()
        for one in body.values():
            _refs(one, used)
    elif isinstance(body, list):
        for one in body:
            _refs(one, used)


def test_definitions_can_be_put_anywhere():
    used = set()
    _refs(definitions("#/components/schemas/"), used)
    assert used and all(one.startswith("#/components/schemas/") for one in used)


def test_every_message_of_a_page_matches_its_schema_and_the_document():
    whole = Draft202012Validator(document())
    for message in SAID:
        body = json.loads(to_json(message))
        PAGE[body["type"]].validate(body)
        whole.validate(body)


def test_all_that_a_page_is_told_matches():
    stand = make_desk(3, hostile=True)
    stand.play(150)
    feed = Feed(stand.desk, venues=[stand.venue])
    SERVER["snapshot"].validate(json.loads(to_json(feed.snapshot())))
    told = []
    stand.play(40, each=lambda: told.append(feed.refresh()))
    for delta in filter(None, told):
        SERVER["delta"].validate(json.loads(to_json(delta)))
    SERVER["snapshot"].validate(json.loads(to_json(feed.snapshot())))
    for message in TOLD:
        body = json.loads(to_json(message))
        SERVER[body["type"]].validate(body)


def test_a_snapshot_has_every_table():
    stand = make_desk(1, contracts=False)
    body = json.loads(to_json(Feed(stand.desk).snapshot()))
    SERVER["snapshot"].validate(body)
    for name in TABLES:
        less = copy.deepcopy(body)
        del less["tables"][name]
        assert not SERVER["snapshot"].is_valid(less)


# -- instructions --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", INSTRUCTIONS)
def test_an_instruction_matches_whichever_way_it_is_written(what):
    terms = {"what": what, "id": "r-1", **EXAMPLES[what]}
    for body in (terms, {**terms, "by": "ann"}, to_terms(from_terms({**terms, "by": "ann"}))):
        PAGE["do"].validate({"type": "do", "instruction": body, "ticket": None})
        Draft202012Validator(instruction_schema(INSTRUCTIONS[what])).validate(body)
    assert not PAGE["do"].is_valid({"type": "do", "instruction": {**terms, "more": "x"}, "ticket": None})
    for one in fields(INSTRUCTIONS[what]):
        if one.default is NOTHING and one.name != "by":
            less = {name: value for name, value in terms.items() if name != one.name}
            assert not PAGE["do"].is_valid({"type": "do", "instruction": less, "ticket": None}), one.name


def test_every_field_of_an_instruction_says_what_it_is_about():
    for kind in INSTRUCTIONS.values():
        said = instruction_schema(kind)
        assert said["description"]
        for one in fields(kind):
            assert one.metadata["about"] in said["properties"][one.name]["description"]
            assert one.metadata["rule"] in said["properties"][one.name]["description"]


# -- one and the same ------------------------------------------------------------------------------------------------------

_value = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2**54),
    hostile_text,
    st.sampled_from(["flash", "BTC/USD", "buy", "0.1", "-1", "1e3", "yes", "no", "r-1\n", "core:main:USD", "desk:main", "60"]),
    st.just([]),
    st.just({}),
)


@st.composite
def _said(draw):
    """A message of a page that is right, or is not by one or two changes."""
    if draw(st.booleans()):
        what = draw(st.sampled_from(sorted(EXAMPLES)))
        terms = {"what": what, "id": "r-1", **EXAMPLES[what]}
        body = {"type": draw(st.sampled_from(["do", "preview"])), "instruction": terms}
        if body["type"] == "do" and draw(st.booleans()):
            body["ticket"] = draw(st.sampled_from([None, "t-1"]))
    else:
        body = plain(draw(st.sampled_from(SAID)))
    for _ in range(draw(st.integers(0, 2))):
        inner = body.get("instruction")
        at = inner if isinstance(inner, dict) and draw(st.booleans()) else body
        name = draw(st.one_of(st.sampled_from(sorted(at) or ["x"]), hostile_text))
        if draw(st.booleans()):
            at.pop(name, None)
        else:
            at[name] = draw(_value)
    return body


@heavy
@given(_said())
def test_the_schema_takes_just_what_is_read(body):
    try:
        message = from_json(json.dumps(body))
        if hasattr(message, "instruction"):
            instruction_of(message, "page")
        read = True
    except BadMessage as error:
        assert error.code in CODES
        read = False
    name = body.get("type")
    matches = isinstance(name, str) and name in PAGE and PAGE[name].is_valid(body)
    if read != matches and isinstance(body.get("instruction"), dict) and "by" in body["instruction"]:
        return  # who it says it is by is passed over when it is read
    assert read == matches


@heavy
@given(st.sampled_from(TOLD), st.data())
def test_the_schema_takes_just_what_a_page_reads(message, data):
    body = plain(message)
    for _ in range(data.draw(st.integers(0, 2))):
        name = data.draw(st.sampled_from(sorted(body)))
        if data.draw(st.booleans()):
            del body[name]
        else:
            body[name] = data.draw(_value)
    try:
        from_json(json.dumps(body), side="server")
        read = True
    except BadMessage:
        read = False
    kind = body.get("type")
    assert read == (isinstance(kind, str) and kind in SERVER and SERVER[kind].is_valid(body))


def test_the_schema_of_what_is_none_is_refused():
    for side, name in (("server", "do"), ("page", "delta"), ("nobody", "ping")):
        with pytest.raises(VaultError, match="no message"):
            schema_of(side, name)
