"""Instructions are text by field: they read back to the very same, and what cannot be is refused by name at the edge."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from attrs import NOTHING, fields, has
from attrs.exceptions import FrozenInstanceError
from hypothesis import given
from hypothesis import strategies as st

from sleeves import instructions
from sleeves.errors import VaultError
from sleeves.instructions import DESK, INSTRUCTIONS, Answer, Arm, Code, Deposit, Instruction, Kill, Open, from_terms, to_terms, what_of
from strategies import hostile_text, law

PAGE = Path(__file__).parents[1] / "docs" / "how-to" / "command-it.md"


def values_of(one):
    """What a field takes, drawn from its own metadata, as a form or a schema would."""
    if one.type == "bool":
        return st.booleans()
    if one.type == "int":
        least, most = (int(n.replace(",", "")) for n in re.findall(r"\d+", one.metadata["rule"]))
        return st.integers(least, most)
    return st.from_regex(one.metadata["pattern"], fullmatch=True)


drawn = st.one_of([st.builds(kind, **{one.name: values_of(one) for one in fields(kind)}) for kind in INSTRUCTIONS.values()])
OPEN = Open("r-1", "ann", "flash", "BTC/USD", "buy", "0.01")


# -- the registry ------------------------------------------------------------------------------------------------------


def test_the_registry_has_every_kind_there_is():
    kinds = {
        one for one in vars(instructions).values() if isinstance(one, type) and issubclass(one, Instruction) and one is not Instruction
    }
    assert set(INSTRUCTIONS.values()) == kinds
    assert {what_of(kind) for kind in kinds} == set(INSTRUCTIONS)
    assert len(INSTRUCTIONS) == 21
    assert {kind.__name__ for kind in kinds} <= set(instructions.__all__)


@pytest.mark.parametrize("kind", INSTRUCTIONS.values(), ids=list(INSTRUCTIONS))
def test_each_kind_is_a_frozen_value_of_plain_fields_that_say_what_they_take(kind):
    assert has(kind)
    assert kind.__doc__
    for one in fields(kind):
        assert one.type in ("str", "bool", "int")
        assert one.metadata["about"]
        assert one.metadata["rule"]
        assert one.type != "str" or one.metadata["pattern"]
    with pytest.raises(FrozenInstanceError):
        OPEN.qty = "1"
    assert OPEN.author == "ann/r-1"


# -- as text -----------------------------------------------------------------------------------------------------------


@law
@given(drawn)
def test_an_instruction_reads_back_from_its_terms_and_from_json_to_the_very_same(one):
    terms = to_terms(one)
    assert all(isinstance(value, str) for value in terms.values())
    assert from_terms(terms) == one
    assert from_terms(json.loads(json.dumps(terms))) == one
    assert type(from_terms(terms)) is type(one)
    own = {"what": terms["what"]} | {each.name: getattr(one, each.name) for each in fields(type(one))}
    assert from_terms(own) == one, "numbers and truth values may stand as themselves"


def test_what_is_left_out_is_the_default():
    terms = {"what": "open", "id": "r-1", "by": "ann", "sleeve": "flash", "market": "BTC/USD", "side": "buy", "qty": "0.01"}
    assert from_terms(terms) == OPEN


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"what": "opens"}, "none of start, stop"),
        ({"what": None}, "none of start, stop"),
        ({"what": ["open"]}, "none of start, stop"),
        ({"leverage": "10"}, "no field 'leverage'"),
        ({"qty": None}, "open qty None must be"),
        ({"qty": 0.01}, "open qty 0.01 must be"),
        ({"qty": 1}, "open qty 1 must be"),
        ({"reduce_only": "maybe"}, "reduce_only 'maybe' must be True or False"),
        ({"reduce_only": 1}, "reduce_only 1 must be True or False"),
    ],
)
def test_terms_that_say_no_instruction_are_refused_by_name(change, said):
    with pytest.raises(VaultError, match=re.escape(said)):
        from_terms(to_terms(OPEN) | change)


@pytest.mark.parametrize("name", ["id", "by", "sleeve", "market", "side", "qty"])
def test_a_missing_field_is_named(name):
    terms = to_terms(OPEN)
    del terms[name]
    with pytest.raises(VaultError, match=f"open needs {name}: "):
        from_terms(terms)


@pytest.mark.parametrize("given", [None, "open", 7, [("what", "open")]])
def test_what_is_no_terms_is_refused(given):
    with pytest.raises(VaultError, match="read from its terms"):
        from_terms(given)


# -- hostile words -----------------------------------------------------------------------------------------------------

ATTACKS = [
    "",
    " ",
    "../../etc/passwd",
    "..",
    "a/b",
    "r\x00",
    "r\n",
    "r 1",
    "'; DROP TABLE records; --",
    "<script>",
    "x" * 65,
    "\u202er",
    "\ud800",
    "r\u0661",
    "é",
    "|",
]


@pytest.mark.parametrize("text", ATTACKS)
def test_a_request_id_is_a_plain_word_and_never_a_path(text):
    with pytest.raises(VaultError, match=r"^open id .* must be 1 to 64 of"):
        Open(text, "ann", "flash", "BTC/USD", "buy", "0.01")


@law
@given(st.sampled_from(list(INSTRUCTIONS.values())), hostile_text | st.sampled_from(ATTACKS), st.data())
def test_any_words_in_any_field_are_taken_whole_or_refused_by_the_fields_name(kind, text, data):
    """And what is taken obeys the field's own rule."""
    one = data.draw(st.builds(kind, **{each.name: values_of(each) for each in fields(kind)}))
    each = data.draw(st.sampled_from([each for each in fields(kind) if each.type == "str"]))
    terms = to_terms(one) | {each.name: text}
    try:
        taken = from_terms(terms)
    except VaultError as error:
        assert f"{what_of(kind)} {each.name} " in str(error)
        assert str(error).isascii()
        assert len(str(error)) < 250
        assert not re.fullmatch(each.metadata["pattern"], text)
        return
    assert getattr(taken, each.name) == text
    assert re.fullmatch(each.metadata["pattern"], text)


@pytest.mark.parametrize(
    "amount", ["NaN", "inf", "-1", "+1", "1e3", "1_000", "1,5", ".5", "5.", "\u0661", "0x10", "", " 1", "1 ", "9" * 41]
)
def test_an_amount_is_a_plain_decimal_number_in_text(amount):
    with pytest.raises(VaultError, match=r"^deposit amount .* must be a plain decimal number"):
        Deposit("r-1", "ann", "core:main:USD", amount)


@pytest.mark.parametrize("amount", [float("nan"), 1.5, 10, True, None, b"1"])
def test_an_amount_is_text_and_nothing_else(amount):
    with pytest.raises(VaultError, match=r"^deposit amount"):
        Deposit("r-1", "ann", "core:main:USD", amount)


@pytest.mark.parametrize("flatten", ["yes", 1, None, 0])
def test_whether_a_kill_flattens_must_be_said(flatten):
    with pytest.raises(VaultError, match="kill flatten"):
        Kill("r-1", "ann", DESK, flatten)
    assert next(one for one in fields(Kill) if one.name == "flatten").default is NOTHING


@pytest.mark.parametrize("seconds", [0, -1, 2_678_401, 1.5, True, "60"])
def test_how_long_a_venue_is_armed_is_whole_seconds_within_a_month(seconds):
    with pytest.raises(VaultError, match="arm lasts"):
        Arm("r-1", "ann", "kraken", "1000", "arm kraken for 1000 USD an hour", lasts=seconds)
    assert Arm("r-1", "ann", "kraken", "1000 USD", "x", lasts=86_400).lasts == 86_400


@pytest.mark.parametrize("target", ["desk", "core:main", "core:Main:USD", "venue:kraken", "desk:other", "a b", "Flash"])
def test_a_target_is_a_sleeve_a_vault_or_the_desk(target):
    """ "desk" is a sleeve's name like any other: the desk's own has a colon, which no sleeve's has."""
    if target == "desk":
        assert Kill("r-1", "ann", target, True).target == "desk"
        return
    with pytest.raises(VaultError, match="kill target"):
        Kill("r-1", "ann", target, True)


# -- answers -----------------------------------------------------------------------------------------------------------


def test_an_answer_is_plain_data():
    answer = Answer("r-1", Code.NOT_ENOUGH, "only 5 USD is free", {"free": "5 USD"})
    assert not answer.ok
    assert json.loads(json.dumps(answer.to_terms())) == {
        "id": "r-1",
        "ok": False,
        "code": "not_enough",
        "message": "only 5 USD is free",
        "evidence": {"free": "5 USD"},
    }
    assert str(answer) == "not_enough: only 5 USD is free (free 5 USD)"


def test_what_went_or_goes_as_instructed_is_ok_and_nothing_else_is():
    assert {code for code in Code if code.ok} == {Code.DONE, Code.CONFIRMED, Code.SENT, Code.UNDER_WAY, Code.NOTHING}
    assert {code for code in Code if code.open} == {Code.SENT, Code.UNDER_WAY, Code.UNKNOWN}


def test_the_page_lists_every_code_and_whether_it_is_ok():
    rows = re.findall(r"^\| `(\w+)` \| (yes|no) \| (.+?) \| (.+?) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert [(code, ok == "yes") for code, ok, _, _ in rows] == [(code.value, code.ok) for code in Code]
    assert all(meaning.strip() and remedy.strip() for _, _, meaning, remedy in rows)


def test_the_page_lists_every_instruction_with_its_fields():
    rows = dict(re.findall(r"^\| `(\w+)\(([^)]*)\)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    own = {kind.__name__: [one.name for one in fields(kind) if one.name not in ("id", "by", "why")] for kind in INSTRUCTIONS.values()}
    assert {name: [one for one in given.split(", ") if one] for name, given in rows.items()} == own
