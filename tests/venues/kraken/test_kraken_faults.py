"""Kraken's errors: the reference's table, row by row, and what is in no table."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sleeves.errors import VenueRejected, VenueUnavailable, VenueUnknown
from sleeves.keys import Sign
from sleeves.market import MINUTE, SECOND
from sleeves.venues.kraken.faults import RULES, Kind, Outcome, error_of, fault_of, read_envelope
from sleeves.venues.wire import Reply
from strategies import law

NOW = 1_790_000_000 * SECOND
NO, OFF, LOOK = Outcome.REJECTED, Outcome.UNAVAILABLE, Outcome.UNKNOWN

# reference/venues.md, 1.5: text, kind, what it means for an order, whether a question may be asked again, sign, rest in minutes
TABLE = [
    ("EAPI:Invalid key", Kind.AUTH, OFF, False, Sign.INVALID, None),
    ("EAPI:Invalid signature", Kind.AUTH, OFF, False, Sign.INVALID, None),
    ("EAPI:Invalid nonce", Kind.NONCE, OFF, True, Sign.NONCE, None),
    ("EAPI:Rate limit exceeded", Kind.LIMIT, OFF, True, Sign.RATE_LIMITED, None),
    ("EAPI:Bad request", Kind.REQUEST, NO, False, Sign.RATE_LIMITED, None),
    ("EGeneral:Temporary lockout", Kind.LOCKOUT, OFF, False, Sign.LOCKOUT, 15),
    ("EGeneral:Permission denied", Kind.PERMISSION, OFF, False, Sign.PERMISSION, None),
    ("EAccount:Invalid permissions", Kind.PERMISSION, OFF, False, Sign.PERMISSION, None),
    ("EAccount:Invalid permissions:ETH trading restricted for DE.", Kind.PERMISSION, OFF, False, Sign.PERMISSION, None),
    ("EGeneral:Invalid arguments", Kind.REQUEST, NO, False, None, None),
    ("EGeneral:Invalid arguments:volume", Kind.REQUEST, NO, False, None, None),
    ("EGeneral:Unknown method", Kind.REQUEST, NO, False, None, None),
    ("EQuery:Unknown asset", Kind.REQUEST, NO, False, None, None),
    ("EQuery:Unknown asset pair", Kind.REQUEST, NO, False, None, None),
    ("EQuery:Invalid asset pair", Kind.REQUEST, NO, False, None, None),
    ("EGeneral:Internal error", Kind.OUTAGE, LOOK, True, None, None),
    ("EGeneral:Internal error[502]", Kind.OUTAGE, LOOK, True, None, None),
    ("EDatabase:Internal error", Kind.OUTAGE, LOOK, True, None, None),
    ("EService:Unavailable", Kind.OUTAGE, LOOK, True, None, None),
    ("EService:Busy", Kind.OUTAGE, LOOK, True, None, None),
    ("EService:Deadline elapsed", Kind.OUTAGE, LOOK, True, None, None),
    ("EService:Market in cancel_only mode", Kind.MARKET, NO, False, None, None),
    ("EService:Market in post_only mode", Kind.MARKET, NO, False, None, None),
    ("EOrder:Insufficient funds", Kind.REJECT, NO, False, None, None),
    ("EOrder:Order minimum not met", Kind.REJECT, NO, False, None, None),
    ("EOrder:Cost minimum not met", Kind.REJECT, NO, False, None, None),
    ("EOrder:Tick size check failed", Kind.REJECT, NO, False, None, None),
    ("EOrder:Invalid price", Kind.REJECT, NO, False, None, None),
    ("EOrder:Invalid order", Kind.REJECT, NO, False, None, None),
    ("EOrder:Post only order", Kind.REJECT, NO, False, None, None),
    ("EOrder:A refusal that is new", Kind.REJECT, NO, False, None, None),
    ("EOrder:Rate limit exceeded", Kind.ENGINE, OFF, False, None, None),
    ("EOrder:Domain rate limit exceeded", Kind.ENGINE, OFF, False, None, None),
    ("EOrder:Orders limit exceeded", Kind.ENGINE, NO, False, None, None),
    ("EOrder:Scheduled orders limit exceeded", Kind.ENGINE, NO, False, None, None),
    ("EOrder:Unknown order", Kind.STATE, NO, False, None, None),
    ("EOrder:Margin allowance exceeded", Kind.MARGIN, NO, False, None, None),
    ("EOrder:Margin position size exceeded", Kind.MARGIN, NO, False, None, None),
    ("EOrder:Positions limit exceeded", Kind.MARGIN, NO, False, None, None),
    ("EOrder:Reduce only:No position exists", Kind.MARGIN, NO, False, None, None),
    ("EOrder:Cannot open position", Kind.MARGIN, NO, False, None, None),
    ("EAuth:Account temporary disabled", Kind.ACCOUNT, OFF, False, Sign.LOCKOUT, 15),
    ("EAuth:Account unconfirmed", Kind.ACCOUNT, OFF, False, None, None),
    ("EAuth:Rate limit exceeded", Kind.ACCOUNT, OFF, True, Sign.RATE_LIMITED, None),
    ("EAuth:Too many requests", Kind.ACCOUNT, OFF, True, Sign.RATE_LIMITED, None),
    ("ETrade:User Locked", Kind.ACCOUNT, OFF, False, Sign.LOCKOUT, 15),
    ("ESession:Invalid session", Kind.ACCOUNT, OFF, False, None, None),
    ("EFunding:Unknown withdraw key", Kind.FUNDING, NO, False, None, None),
    ("EBM:limit exceeded:CAL", Kind.FUNDING, NO, False, None, None),
    ("EAPI:Feature disabled", Kind.STRANGE, LOOK, False, None, None),
    ("EGeneral:Something else", Kind.STRANGE, LOOK, False, None, None),
    ("E", Kind.STRANGE, LOOK, False, None, None),
    ("", Kind.STRANGE, LOOK, False, None, None),
    ("no category", Kind.STRANGE, LOOK, False, None, None),
    ("eapi:invalid key", Kind.STRANGE, LOOK, False, None, None),
]


@pytest.mark.parametrize(("text", "kind", "order", "again", "sign", "minutes"), TABLE)
def test_the_table_of_the_reference(text, kind, order, again, sign, minutes):
    fault = fault_of(text, NOW)
    assert (fault.kind, fault.order, fault.again, fault.sign) == (kind, order, again, sign)
    assert fault.until == (None if minutes is None else NOW + minutes * MINUTE)
    assert fault.text == text


def test_every_rule_is_met_by_a_row():
    met = {max((prefix for prefix in RULES if text.startswith(prefix)), key=len, default=None) for text, *_ in TABLE}
    assert set(RULES) - met == {"EService: Throttled", "EService:Throttled", "EService:Timeout", "EService:Market in"}


@pytest.mark.parametrize(
    ("text", "until"),
    [
        ("EService: Throttled: 1790000012", 1_790_000_012),
        ("EService:Throttled: 1790000012", 1_790_000_012),
        ("EService: Throttled: 1790000012.5", 1_790_000_012),
        ("EService: Throttled:1790000012", 1_790_000_012),
        ("EService: Throttled", None),
        ("EService: Throttled: soon", None),
        ("EService: Throttled: 17900000129999999999", None),
    ],
)
def test_throttled_says_until_when(text, until):
    fault = fault_of(text, NOW)
    assert (fault.kind, fault.order, fault.again, fault.sign) == (Kind.THROTTLED, OFF, True, Sign.RATE_LIMITED)
    assert fault.until == (None if until is None else until * SECOND)


@law
@given(prefix=st.sampled_from(sorted(RULES)), tail=st.text(max_size=30))
def test_the_longest_prefix_counts(prefix, tail):
    text = prefix + tail
    longest = max((known for known in RULES if text.startswith(known)), key=len)
    assert fault_of(text).kind is RULES[longest].kind


@law
@given(text=st.text(max_size=60).filter(lambda text: not any(text.startswith(prefix) for prefix in RULES)))
def test_what_nobody_knows_is_never_a_success_and_not_asked_again(text):
    fault = fault_of(text)
    assert (fault.kind, fault.again, fault.sign) == (Kind.STRANGE, False, None)
    assert isinstance(error_of("X", [fault], order=True), VenueUnknown)
    assert isinstance(error_of("X", [fault], order=False), VenueUnavailable)


@pytest.mark.parametrize(
    ("texts", "for_an_order", "for_a_question"),
    [
        (["EOrder:Insufficient funds"], VenueRejected, VenueRejected),
        (["EAPI:Invalid nonce"], VenueUnavailable, VenueUnavailable),
        (["EService:Busy"], VenueUnknown, VenueUnavailable),
        (["EOrder:Insufficient funds", "EAPI:Invalid nonce"], VenueUnavailable, VenueUnavailable),
        (["EOrder:Insufficient funds", "EService:Busy"], VenueUnknown, VenueUnavailable),
        (["EAPI:Invalid nonce", "EService:Busy"], VenueUnknown, VenueUnavailable),
    ],
)
def test_of_several_the_worst_counts_and_all_are_kept(texts, for_an_order, for_a_question):
    faults = [fault_of(text) for text in texts]
    error = error_of("AddOrder", faults, order=True)
    assert isinstance(error, for_an_order)
    assert isinstance(error_of("AddOrder", faults, order=False), for_a_question)
    assert [fault.text for fault in error.faults] == texts
    assert all(text in str(error) for text in texts)


# -- the envelope ----------------------------------------------------------------------------------------------------------------


def read(body, status=200):
    return read_envelope(Reply(status, {}, body if isinstance(body, str) else json.dumps(body)), NOW)


def test_a_result_is_a_result_and_a_warning_is_none_of_it():
    assert read({"error": [], "result": {"a": 1}}) == ({"a": 1}, (), ())
    result, faults, warnings = read({"error": ["WGeneral:Look out"], "result": []})
    assert (result, faults, warnings) == ([], (), ("WGeneral:Look out",))


def test_a_result_beside_an_error_does_not_count():
    result, faults, warnings = read({"error": ["WGeneral:Look out", "EGeneral:Invalid arguments"], "result": {"txid": ["O"]}})
    assert result is None and [fault.text for fault in faults] == ["EGeneral:Invalid arguments"] and warnings == ("WGeneral:Look out",)


OUTAGES = [
    ("<html><body>520</body></html>", 520),
    ("<html></html>", 200),
    ("", 200),
    ("", 502),
    ('{"error": [], "result": {}}', 500),
    ('{"error": ["EOrder:Insufficient funds"]}', 503),
    ('{"error": ["EOrder:Insufficient funds"]}', 500),
    ("{", 200),
    ("[]", 200),
    ("null", 200),
    ("{}", 200),
    ('{"error": null, "result": {}}', 200),
    ('{"error": "EOrder:X", "result": {}}', 200),
    ('{"error": [5], "result": {}}', 200),
    ('{"error": []}', 200),
    ('{"error": [], "result": null}', 200),
    ('{"error": [], "result": {"a": NaN}}', 200),
    ('{"error": [], "result": {}}', 404),
    ('{"error": [], "result": {}}', 302),
]


@pytest.mark.parametrize(("body", "status"), OUTAGES)
def test_what_is_no_answer_is_an_outage(body, status):
    result, (fault,), warnings = read(body, status)
    assert result is None and warnings == ()
    assert (fault.kind, fault.order, fault.again, fault.sign) == (Kind.OUTAGE, LOOK, True, None)
    assert f"status {status}" in fault.text


def test_an_error_below_500_is_what_it_says():
    for status in (200, 400, 401, 499):
        _, (fault,), _ = read({"error": ["EAPI:Invalid key"]}, status)
        assert fault.kind is Kind.AUTH


def test_a_gateway_that_counts_has_processed_nothing():
    _, (fault,), _ = read("slow down", 429)
    assert (fault.kind, fault.order, fault.sign) == (Kind.LIMIT, OFF, Sign.RATE_LIMITED)


def test_a_text_of_any_length_is_kept_short():
    assert len(fault_of("EOrder:" + "x" * 10_000).text) == 300
