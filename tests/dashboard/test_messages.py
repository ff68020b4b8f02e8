"""What is on the wire: every message comes back as it went, and what is no message is refused by name."""

from __future__ import annotations

import json

import pytest
from attrs import evolve, fields
from hypothesis import example, given
from hypothesis import strategies as st
from stand import MARKUP, make_desk

from sleeves.dashboard.feed import Feed
from sleeves.dashboard.messages import (
    CODES,
    FROM_PAGE,
    FROM_SERVER,
    LARGEST,
    STREAMS,
    TABLES,
    Answer,
    Ask,
    BadMessage,
    Delta,
    Do,
    Hello,
    Ping,
    Pong,
    Preview,
    Previewed,
    Refused,
    Resync,
    Snapshot,
    fields_of,
    from_json,
    instruction_of,
    to_json,
)
from sleeves.errors import SleevesError, VaultError
from sleeves.instructions import Open, Pause, to_terms
from strategies import hostile_text, law

OPEN = Open("r-1", "ann", sleeve="flash", market="BTC/USD", side="buy", qty="0.01")
SAID = [
    Hello(),
    Hello("abc", 3),
    Resync(),
    Preview(to_terms(OPEN)),
    Do({"what": "pause", "id": "r-2", "target": "flash"}),
    Do(to_terms(OPEN), "a-ticket"),
    Ask("r-1"),
    Ping(),
]
TOLD = [
    Previewed(
        "r-1", True, "ready", "could be done", {"worth": "150 USD"}, {"health": "90"}, {"health": "80"}, ("dear",), "t", 1_700_000_000_000
    ),
    Previewed("r-1", False, "not_enough", "no", {}, {}, {}, (), None, None),
    Answer("r-1", "done", True, False, "done", {"order": "flash-1"}),
    Refused(None, "too_fast", "20 a second"),
    Refused("r-1", "needs_ticket", "preview it first"),
    Pong(1_700_000_000_000),
]


def real():
    """A snapshot and the changes behind it, of a desk on which all kinds of things happen."""
    stand = make_desk(3, hostile=True)
    stand.play(200)
    feed = Feed(stand.desk, title="a <b>desk</b>", venues=[stand.venue], session="s")
    told = [feed.snapshot()]
    stand.play(30, each=lambda: told.append(feed.refresh()))
    return [one for one in told if one is not None]


@pytest.mark.parametrize("message", SAID, ids=lambda one: type(one).__name__)
def test_what_a_page_says_comes_back(message):
    assert from_json(to_json(message)) == message
    assert from_json(to_json(message).decode()) == message


@pytest.mark.parametrize("message", TOLD, ids=lambda one: type(one).__name__)
def test_what_a_page_is_told_comes_back(message):
    assert from_json(to_json(message), side="server") == message


def test_a_real_run_comes_back_whole():
    told = real()
    assert len(told) > 60 and {type(one) for one in told} == {Snapshot, Delta}
    for message in told:
        written = to_json(message)
        assert from_json(written, side="server") == message
        assert b"NaN" not in written and b"Infinity" not in written and written.isascii()
    first = told[0]
    assert set(first.tables) == set(TABLES) and set(first.streams) == set(STREAMS)
    assert all(rows for name, rows in first.tables.items() if name != "confirmations"), "a stand that shows nothing tests nothing"
    assert first.tables["sleeves"]["flash"].engine == MARKUP
    assert first.title == "a <b>desk</b>"


def test_every_message_is_of_one_side():
    assert set(FROM_SERVER) == {"snapshot", "delta", "preview", "answer", "refused", "pong"}
    assert set(FROM_PAGE) == {"hello", "resync", "preview", "do", "ask", "ping"}
    with pytest.raises(BadMessage, match="none of hello"):
        from_json(to_json(Pong(1)))
    with pytest.raises(BadMessage, match="none of snapshot"):
        from_json(to_json(Ping()), side="server")


# -- what is no message --------------------------------------------------------------------------------------------------

DO = '{"type":"do","instruction":{"what":"pause","id":"r-2","target":"flash"},"ticket":'
BAD = [
    (b"", "no JSON"),
    (b"\xff\xfe", "no JSON"),
    ("nothing", "no JSON"),
    ("[]", "object"),
    ("7", "object"),
    ("null", "object"),
    ('"ping"', "object"),
    ("{}", "type None"),
    ('{"type":7}', "type 7"),
    ('{"type":["ping"]}', "none of"),
    ('{"type":"PING"}', "type 'PING'"),
    ('{"type":"snapshot"}', "none of"),
    ('{"type":"ping","more":1}', "no field 'more'"),
    ('{"type":"ping","type":"ping"}', "twice"),
    ('{"type":"ask"}', "needs id"),
    ('{"type":"ask","id":null}', "must be text"),
    ('{"type":"ask","id":7}', "must be text"),
    ('{"type":"ask","id":""}', "id of a request"),
    ('{"type":"ask","id":"a\\nb"}', "id of a request"),
    ('{"type":"ask","id":"a\\n"}', "id of a request"),
    ('{"type":"hello","session":"s","seq":-1}', "from 0"),
    ('{"type":"hello","session":"s","seq":9007199254740992}', r"2\*\*53"),
    ('{"type":"hello","session":"s","seq":true}', "whole number"),
    ('{"type":"hello","session":"s","seq":1.0}', "whole number"),
    ('{"type":"hello","session":"s","seq":"1"}', "whole number"),
    ('{"type":"hello","session":"s","seq":NaN}', "NaN is no number"),
    ('{"type":"hello","session":"s","seq":-Infinity}', "-Infinity is no number"),
    ('{"type":"hello","session":"s","seq":1e999}', "too large a number"),
    ('{"type":"hello","session":"s","seq":' + "9" * 5_000 + "}", "no JSON"),
    ('{"type":"hello","session":"<script>"}', "feed's run"),
    ('{"type":"hello","session":{"a":1}}', "must be text, not an object"),
    (DO + "7}", "must be text"),
    (DO + '"a b"}', "what a preview gave"),
    (DO + '"' + "a" * 200 + '"}', "what a preview gave"),
    ('{"type":"do"}', "needs instruction"),
    ('{"type":"do","instruction":[]}', "must be an object, not a list"),
    ('{"type":"do","instruction":{"what":["pause"]}}', "not a list"),
    ('{"type":"do","instruction":{"what":{"a":{}}}}', "not an object"),
    ('{"type":"do","instruction":{"qty":0.1}}', "not a number"),
    ('{"type":"do","instruction":{"what":"pause","what":"kill"}}', "twice"),
    ("[" * 8_000, "no JSON"),
    ('{"type":' * 1_000, "no JSON"),
]


@pytest.mark.parametrize(("raw", "why"), BAD, ids=[str(n) for n in range(len(BAD))])
def test_what_is_no_message_is_refused_by_name(raw, why):
    with pytest.raises(BadMessage, match=why) as caught:
        from_json(raw)
    assert caught.value.code == "bad_message"
    assert len(str(caught.value)) < 300, "nothing that long is to be said back"


def test_what_is_too_large_is_not_even_read():
    with pytest.raises(BadMessage, match=f"at most {LARGEST}") as caught:
        from_json(b" " * (LARGEST + 1))
    assert caught.value.code == "too_large"
    assert from_json(to_json(Ping()) + b" " * (LARGEST - 20)) == Ping()
    with pytest.raises(BadMessage, match="at most 10"):
        from_json(to_json(Ping()), most=10)
    with pytest.raises(BadMessage, match="bytes; at most"):
        from_json('"' + "é" * LARGEST + '"')


def test_a_refusal_can_be_told_under_the_id_of_its_request():
    with pytest.raises(BadMessage) as caught:
        from_json('{"type":"do","instruction":{"what":"pause","id":"r-2","target":"flash"},"ticket":7}')
    assert caught.value.id == "r-2"
    with pytest.raises(BadMessage) as caught:
        from_json('{"type":"do","instruction":{"what":"pause","id":"<b>"},"ticket":7}')
    assert caught.value.id is None
    assert Refused(caught.value.id, caught.value.code, str(caught.value)).code in CODES


_any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | hostile_text,
    lambda one: st.lists(one, max_size=4) | st.dictionaries(hostile_text, one, max_size=4),
    max_leaves=20,
)


@law
@given(st.one_of(st.binary(max_size=300), hostile_text, _any_json.map(json.dumps)))
@example('{"type":"ping"}')
def test_whatever_comes_is_a_message_or_refused(raw):
    try:
        message = from_json(raw)
    except BadMessage as error:
        assert error.code in CODES
        assert isinstance(error, SleevesError)
    else:
        assert type(message) in FROM_PAGE.values()


# -- instructions --------------------------------------------------------------------------------------------------------


def test_an_instruction_is_by_whoever_the_server_knows():
    message = from_json(to_json(Do({"what": "pause", "id": "r-2", "target": "flash", "by": "the queen"})))
    assert instruction_of(message, "page") == Pause("r-2", "page", target="flash")
    assert instruction_of(Preview(to_terms(OPEN)), "ben") == evolve(OPEN, by="ben")


def test_a_bad_instruction_is_refused_with_its_rule():
    for terms, why in (
        ({"what": "pause", "id": "r-2", "target": "a b"}, "sleeve's name"),
        ({"what": "explode", "id": "r-2"}, "none of start"),
        ({"what": "pause", "id": "r-2", "target": "a", "more": "b"}, "no field"),
        ({"what": "open", "id": "r-2", "sleeve": "a", "market": "X", "side": "buy", "qty": "-1"}, "decimal number"),
    ):
        with pytest.raises(BadMessage, match=why) as caught:
            instruction_of(Do(terms), "page")
        assert (caught.value.code, caught.value.id) == ("bad_instruction", "r-2")


# -- what is never written -------------------------------------------------------------------------------------------------


def test_no_nan_is_ever_written():
    snapshot = real()[0]
    chart = snapshot.charts["vault:core:main:USD"]
    with pytest.raises(VaultError, match="cannot be written"):
        to_json(evolve(snapshot, charts={"vault:core:main:USD": evolve(chart, points=((1.0, float("nan"), 1.0),))}))


@law
@given(hostile_text)
def test_any_text_can_be_told(text):
    """Names, reasons and what venues say may be any text, lone surrogates too: on the wire it is ASCII, and comes back as it was."""
    message = Answer("r-1", "done", True, False, text, {"said": text})
    assert from_json(to_json(message), side="server") == message


def test_money_is_text_and_rows_are_typed():
    """No field of a row is a float: what is money cannot become one."""
    for kind in (*TABLES.values(), *STREAMS.values()):
        for one in fields(kind):
            assert "float" not in str(one.type), f"{kind.__name__}.{one.name}"
    with pytest.raises(VaultError, match="none of sleeve, vault"):
        fields_of("market:BTC")
